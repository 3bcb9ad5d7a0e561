from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.store.vault import Vault
from tests.pipeline.store.ledger import Ledger


@pytest.fixture
def ledger(database_url: str, vault_key: str) -> Iterator[Ledger]:
    """A ledger in a database of this test alone, for statements that read everything that is due."""
    made = Ledger(database_url, Vault(vault_key))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def shared(module_database_url: str, vault_key: str) -> Iterator[Ledger]:
    """A ledger that the tests of a module share; each test creates its own workspaces."""
    made = Ledger(module_database_url, Vault(vault_key))
    yield made
    made.database.close()
