from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.api.running_server import Server, Tenant, serving


@pytest.fixture(scope="session")
def shared_server(
    session_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server of all modules that need no settings of their own."""
    with serving(session_environment, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shared server, or one of its own for a module that has ``SERVER_SETTINGS``."""
    settings = getattr(request.module, "SERVER_SETTINGS", None)
    if settings is None:
        yield request.getfixturevalue("shared_server")
        return
    environment = request.getfixturevalue("module_environment")
    with serving({**environment, **settings}, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def tenant(server: Server) -> Tenant:
    return server.tenant()


@pytest.fixture(scope="module")
def two(
    shared_server: Server, session_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """Two servers on one database, like two processes of one server."""
    with serving(session_environment, tmp_path_factory.mktemp("two")) as other:
        yield [shared_server, other]
