from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from config.settings import load
from pipeline.store.database import rows
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.model.environment import ModelEnvironment
from tests.model.faults import Clock, FailpointHook, FaultyDatabase, clock_columns, install_hooks
from tests.pipeline.core_fixture import make_core
from tests.pipeline.store.ledger import Ledger

_TIMES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE data_type = 'timestamp with time zone' AND table_schema = current_schema()
  AND table_name IN ('accounts', 'attempts', 'deliveries', 'platform_failures', 'platform_health',
                     'posts', 'replays') ORDER BY 1, 2
"""


@pytest.fixture
def model_environment(environment: dict[str, str], vault_key: str) -> Iterator[ModelEnvironment]:
    """Real engines, two accounts, a decided check, and the fault hooks installed."""
    context = build_context(load(environment | {"SLIPWAY_PUBLISH__PREPARES_PER_DAY": "1000"}))
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    faulty_database, failpoint_hook, clock = FaultyDatabase(context.database), FailpointHook(), Clock()
    core = make_core(replace(context, database=faulty_database), ledger)
    core.account("one")
    core.account("two")
    core.decided()
    with context.database.begin() as c:
        columns = clock_columns(rows(c, _TIMES))
    with install_hooks(failpoint_hook, clock):
        yield ModelEnvironment(
            core=core,
            faulty_database=faulty_database,
            failpoint_hook=failpoint_hook,
            clock=clock,
            columns=columns,
        )
    ledger.database.close()
    context.database.close()
