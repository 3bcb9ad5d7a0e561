from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.api.running_server import Server, Tenant, serving


@pytest.fixture(scope="module")
def server(module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(module_environment, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def tenant(server: Server) -> Tenant:
    return server.tenant()


@pytest.fixture(scope="module")
def two(
    module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """Two servers on one database, like two processes of one server."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    with serving(module_environment, folders[0]) as one, serving(module_environment, folders[1]) as other:
        yield [one, other]
