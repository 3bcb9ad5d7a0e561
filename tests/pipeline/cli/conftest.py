from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.vault import Vault
from tests.conftest import free_ports
from tests.fork_server_client import ForkServer
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack


@pytest.fixture(scope="module")
def terminal(module_environment: dict[str, str], fork_server: ForkServer) -> Terminal:
    """Runs commands on this module's database."""
    folder = Path(module_environment["SLIPWAY_FOLDER"])
    return Terminal(environment=module_environment, fork_server=fork_server, folder=folder)


@pytest.fixture(scope="module")
def ledger(module_database_url: str, vault_key: str) -> Iterator[Ledger]:
    """The same database, to arrange and inspect."""
    made = Ledger(module_database_url, Vault(vault_key), pool=2)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def sandbox(module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox without the other services; the module's commands use it."""
    stack = Stack(
        environment=module_environment,
        folder=tmp_path_factory.mktemp("sandbox"),
        ports=free_ports(3),
        forks=True,
    )
    try:
        stack.start_sandbox("--pace", "instant")
        yield stack
    finally:
        stack.stop()
