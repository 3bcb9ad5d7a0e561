"""Which worker groups have consumed since the start: a canary or, with a backlog before it, any other message."""

from __future__ import annotations

import time
from contextlib import suppress

import redis

from config.settings import Settings
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import Dispatcher
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.broker.queues import REACHABILITY, WORKER_GROUPS
from pipeline.broker.ticks import list_ticks
from pipeline.store.canaries import read_silences
from pipeline.store.database import Database, Unreachable


class WorkerReadiness:
    """Sends a canary to every queue, then answers which groups have consumed since.

    A worker with a backlog takes its canary late, but records in the same table what else it takes.
    """

    def __init__(self, s: Settings, broker: redis.Redis) -> None:
        self._started_at = time.monotonic()
        self._database = Database(s.store.url.get_secret_value(), pool=1)
        self._broker = broker
        app = create_celery_app(s, retry_broker=False)
        Dispatcher(app).send_ticks([tick for tick in list_ticks(s) if tick.task == "canary"])
        app.close()

    def is_served(self, group: str) -> bool:
        """Return True if a worker of the group has consumed since the start; False if the database is unreachable."""
        elapsed = time.monotonic() - self._started_at  # before the read: an older record must look older
        try:
            with self._database.once() as c:
                silences = read_silences(c)
        except Unreachable:
            return False
        ages = [silences[queue].total_seconds() for queue in WORKER_GROUPS[group] if queue in silences]
        is_served = any(age < elapsed for age in ages)
        if is_served and REACHABILITY in WORKER_GROUPS[group]:
            self._record_reachability()
        return is_served

    def close(self) -> None:
        """Close the connections."""
        self._database.close()
        self._broker.close()

    def _record_reachability(self) -> None:
        """Let requests wait for checks at once: the tick that records this may wait behind a backlog."""
        with suppress(redis.RedisError):
            QueueLiveness(self._broker).record_beat(REACHABILITY)
