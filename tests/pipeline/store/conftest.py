from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.store.vault import Vault
from tests.pipeline.store.ledger import Ledger


@pytest.fixture
def ledger(database_url: str, vault_key: str) -> Iterator[Ledger]:
    """A ledger of this test alone: for what looks at everything that is due."""
    made = Ledger(database_url, Vault(vault_key))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def shared(module_database_url: str, vault_key: str) -> Iterator[Ledger]:
    """A ledger that the tests of a module share; each makes workspaces of its own."""
    made = Ledger(module_database_url, Vault(vault_key))
    yield made
    made.database.close()
