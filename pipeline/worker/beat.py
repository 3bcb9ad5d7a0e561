"""Beat: one more process that sends the periodic tasks. It is optional, because every worker sends them too."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from redis.exceptions import RedisError

from config.settings import settings
from pipeline.broker.queue_liveness import BEAT, BEAT_EVERY, QueueLiveness, beat_on
from pipeline.broker.ticks import list_ticks
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.store.database import Database
from pipeline.worker.ticker import create_ticker


class TickScheduler(Scheduler):
    """Sends ticks through the same leased rows as the workers: more processes send no more ticks.

    Celery's own schedulers keep the schedule in one process, so that a second beat doubles every tick.
    """

    def __init__(self, app: Celery, **options: Any) -> None:
        super().__init__(app, **options)
        s = settings()
        database = Database(s.store.url.get_secret_value(), pool=1)
        self._ticker = create_ticker(s, database, list_ticks(s), self._record)
        self._liveness = QueueLiveness(
            create_redis_client(s.broker.url.get_secret_value(), s.broker.sentinel_master)
        )
        self._record_at = float("-inf")

    def setup_schedule(self) -> None:
        """Do nothing: the schedule is ``pipeline/broker/ticks.py`` and the table ``ticks``."""

    def tick(self, *_: Any, **__: Any) -> float:
        """Send the due ticks. Return the seconds until the next call."""
        return self._ticker.run_once()

    def _record(self) -> None:
        """Record that beat sends, for `/readyz` and `slipway beat --check`."""
        if time.monotonic() < self._record_at:
            return
        self._record_at = time.monotonic() + BEAT_EVERY
        with suppress(RedisError, OSError):
            self._liveness.record_beat(BEAT)
            self._liveness.record_beat(beat_on(socket.gethostname()))
