from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.api.running_server import Server, Tenant, serving
from tests.pipeline.mcp.client import Agent


@pytest.fixture(scope="session")
def server(session_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with MCP for all modules of this folder."""
    more = {"SLIPWAY_MCP__ENABLED": "true", "SLIPWAY_BROKER__REQUEST_TIMEOUT": "1"}  # each post is counted
    with serving({**session_environment, **more}, tmp_path_factory.mktemp("mcp")) as running:
        yield running


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


@pytest.fixture
def agent(server: Server, tenant: Tenant) -> Agent:
    return Agent(server.url, tenant.key)
