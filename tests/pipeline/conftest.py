"""Fixtures of the pipeline tests: a context on this module's engines, a ledger, a workspace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.settings import Settings, load
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
def context(
    request: pytest.FixtureRequest, module_environment: dict[str, str], site: Site
) -> Iterator[Context]:
    """A context on this module's engines, with the module's ``CONTEXT_SETTINGS``, if it has any."""
    sandbox = {"SLIPWAY_SANDBOX__URL": site.origin, "SLIPWAY_SANDBOX__MEDIA_URL": site.origin}
    more = getattr(request.module, "CONTEXT_SETTINGS", {})
    built = build_context(load({**module_environment, **sandbox, **more}))
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


@pytest.fixture
def own(settings: Settings, vault_key: str) -> Iterator[CoreFixture]:
    """A workspace with an account, on a database and a broker of this test's own."""
    context = build_context(settings)
    ledger = Ledger(settings.store.url.get_secret_value(), Vault(vault_key))
    made = make_core(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()


@pytest.fixture
def alone(context: Context, ledger: Ledger) -> CoreFixture:
    """A workspace that is alone in its module's database, with two accounts, and media with a fresh good check."""
    with context.database.begin() as c:
        c.exec_driver_sql("SET LOCAL session_replication_role = replica")  # else some tables refuse it
        c.exec_driver_sql("TRUNCATE workspaces, pauses, paused_deliveries, undo_log CASCADE")
    made = make_core(context, ledger)
    made.account("one")
    made.account("two")
    made.decided()
    return made


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """An account, and media with a fresh good check."""
    core.account("one")
    core.decided()
    return core
