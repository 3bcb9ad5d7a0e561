from __future__ import annotations

from pipeline.broker.queues import TICK_EXPIRES
from tests.chaos import clock


def test_a_clock_that_is_wrong_is_found_or_said_to_be_missing() -> None:
    environment = clock.build_environment()
    assert environment is None or environment["FAKETIME"] == f"+{clock.AHEAD}s"
    assert "apt-get" in clock.MISSING


def test_no_tick_ends_so_soon_that_a_worker_with_a_wrong_clock_would_drop_it() -> None:
    assert 2 * clock.AHEAD <= TICK_EXPIRES
