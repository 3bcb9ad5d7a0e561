from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.settings import load
from pipeline.store.vault import Vault
from pipeline.wiring import build
from tests.pipeline.core_fixture import House, moved_in
from tests.pipeline.media.servers import Site, serving
from tests.pipeline.store.ledger import Ledger


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback that counts as the sandbox's media host."""
    with serving() as running:
        yield running


@pytest.fixture
def house(environment: dict[str, str], site: Site, vault_key: str) -> Iterator[House]:
    """A workspace on a database of this test's own: chores concern everything."""
    context = build(load({**environment, "SLIPWAY_SANDBOX__MEDIA_URL": site.origin}))
    context.liveness.remember()  # the broker of a system that has run before
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    made = moved_in(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()
