from __future__ import annotations

from pipeline.broker.queues import TICK_EXPIRES
from tests.chaos import clock


def test_no_tick_ends_so_soon_that_a_worker_with_a_wrong_clock_would_drop_it() -> None:
    assert 2 * clock.AHEAD <= TICK_EXPIRES
