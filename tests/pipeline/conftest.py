"""Fixtures of the pipeline tests: a context on this module's engines, a ledger, a workspace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.settings import load
from pipeline.runtime.context import Context
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.media.servers import Site, serving
from tests.pipeline.store.ledger import Ledger


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A web server on loopback that counts as the sandbox's media host."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def context(module_environment: dict[str, str], site: Site) -> Iterator[Context]:
    """A context on this module's engines."""
    built = build_context(
        load(
            {
                **module_environment,
                "SLIPWAY_SANDBOX__URL": site.origin,
                "SLIPWAY_SANDBOX__MEDIA_URL": site.origin,
            }
        )
    )
    yield built
    built.database.close()


@pytest.fixture(scope="module")
def ledger(module_database_url: str, vault_key: str) -> Iterator[Ledger]:
    made = Ledger(module_database_url, Vault(vault_key))
    yield made
    made.database.close()


@pytest.fixture
def core(context: Context, ledger: Ledger) -> CoreFixture:
    """A workspace of this test."""
    return make_core(context, ledger)
