"""Posts under everything that can happen to them, on a real database: the platform's own ledger is the judge.

A state machine over the code of ``domain``, ``store``, ``stages`` and ``upkeep`` as it is. What it drives is the world:
messages (lost, late, twice, out of order), deaths at every failpoint and at every commit, pauses of any length in
which others go on, a database that is away before or after a commit, all a platform can answer, and people.

Time passes by moving every time in the database back, the deadlines' clock and the platform's forward, all together.
``MODEL_EXAMPLES``, ``MODEL_STEPS`` and ``MODEL_SEED`` make the search larger, or another one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from config.settings import load
from pipeline.bootstrap import build
from pipeline.store.database import rows
from pipeline.store.vault import Vault
from tests.model.ground import Ground
from tests.model.machine import Deliveries
from tests.model.trouble import Clock, Gaps, Shaky, clock_columns, seams
from tests.pipeline.stages.house import moved_in
from tests.pipeline.store.ledger import Ledger

_TIMES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE data_type = 'timestamp with time zone' AND table_schema = current_schema()
  AND table_name IN ('accounts', 'attempts', 'deliveries', 'posts', 'replays') ORDER BY 1, 2
"""


@pytest.fixture
def ground(environment: dict[str, str], vault_key: str) -> Iterator[Ground]:
    core = build(load(environment | {"SLIPWAY_PUBLISH__PREPARES_PER_DAY": "1000"}))
    ledger = Ledger(core.settings.store.url.get_secret_value(), Vault(vault_key))
    shaky, gaps, clock = Shaky(core.database), Gaps(), Clock()
    house = moved_in(replace(core, database=shaky), ledger)
    house.account("one")
    house.account("two")
    house.decided()
    with core.database.begin() as c:
        columns = clock_columns(rows(c, _TIMES))
    with seams(gaps, clock):
        yield Ground(house=house, shaky=shaky, gaps=gaps, clock=clock, columns=columns)
    ledger.database.close()
    core.database.close()


def test_whatever_happens_each_is_live_once_or_somebody_is_told(ground: Ground) -> None:
    number = int(os.environ.get("MODEL_SEED", "1"))
    examples = int(os.environ.get("MODEL_EXAMPLES", "40"))
    steps = int(os.environ.get("MODEL_STEPS", "40"))
    print(f"MODEL_SEED={number} MODEL_EXAMPLES={examples} MODEL_STEPS={steps}")

    @seed(number)
    def machine() -> Deliveries:
        return Deliveries(ground)

    began, spent = time.monotonic(), time.process_time()
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink], print_blob=False,
        ),
    )  # fmt: skip
    for what, times in sorted(ground.spent.items()):
        print(f"{times:6} {what}")
    took, ours = time.monotonic() - began, time.process_time() - spent
    print(f"{took:.1f} s, {ours:.1f} of them ours; failpoints met: {', '.join(sorted(ground.gaps.met))}")
