from __future__ import annotations

from datetime import timedelta

from config.settings import Settings
from pipeline.celery_app import create_celery_app
from tests.chaos import clock


def test_a_clock_that_is_wrong_is_found_or_said_to_be_missing() -> None:
    environment = clock.build_environment()
    assert environment is None or environment["FAKETIME"] == f"+{clock.AHEAD}s"
    assert "apt-get" in clock.MISSING


def test_no_tick_ends_so_soon_that_a_worker_with_a_wrong_clock_would_drop_it(settings: Settings) -> None:
    ticks = create_celery_app(settings).conf.beat_schedule
    lives = {name: timedelta(seconds=tick["options"]["expires"]) for name, tick in ticks.items()}
    assert {n: life for n, life in lives.items() if life < 2 * timedelta(seconds=clock.AHEAD)} == {}
