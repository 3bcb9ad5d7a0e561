"""Fixtures of the maintenance tests: each has a database of its own, as a job concerns every row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.settings import load
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.media.servers import Site, serving
from tests.pipeline.store.ledger import Ledger


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback that counts as the sandbox's media host."""
    with serving() as running:
        yield running


@pytest.fixture
def core(environment: dict[str, str], site: Site, vault_key: str) -> Iterator[CoreFixture]:
    """A workspace on a database of this test's own, as a job concerns every row."""
    context = build_context(
        load({**environment, "SLIPWAY_SANDBOX__URL": site.origin, "SLIPWAY_SANDBOX__MEDIA_URL": site.origin})
    )
    context.liveness.set_marker()  # the broker of a system that has run before
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    made = make_core(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()
