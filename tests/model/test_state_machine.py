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

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.environment import ModelEnvironment
from tests.model.machine import Deliveries


def test_whatever_happens_each_is_live_once_or_somebody_is_told(model_environment: ModelEnvironment) -> None:
    number = int(os.environ.get("MODEL_SEED", "1"))
    examples = int(os.environ.get("MODEL_EXAMPLES", "60"))
    steps = int(os.environ.get("MODEL_STEPS", "40"))
    print(f"MODEL_SEED={number} MODEL_EXAMPLES={examples} MODEL_STEPS={steps}")

    @seed(number)
    def machine() -> Deliveries:
        return Deliveries(model_environment)

    began, spent = time.monotonic(), time.process_time()
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            print_blob=False,
        ),
    )
    for what, times in sorted(model_environment.counts.items()):
        print(f"{times:6} {what}")
    took, ours = time.monotonic() - began, time.process_time() - spent
    met = ", ".join(sorted(model_environment.failpoint_hook.met))
    print(f"{took:.1f} s, {ours:.1f} s of CPU; failpoints reached: {met}")
