"""Run the Hypothesis state machine over ``domain``, ``store``, ``stages`` and ``maintenance`` on a real database.

The machine drives messages (lost, late, repeated, reordered), crashes at every failpoint and commit, pauses of any
length, a database that is lost before or after a commit, every answer of a platform, and decisions of people. The fake
platform's ledger decides whether a post is live.

Time passes by moving all times in the database back, and the clocks of deadlines and platform forward, together.
``MODEL_EXAMPLES``, ``MODEL_STEPS`` and ``MODEL_SEED`` set the size and the seed of the search.
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
        machine,  # type: ignore[arg-type]  # a factory is enough
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
