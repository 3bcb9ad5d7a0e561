"""The ticker: sends the periodic tasks that are due, from every worker process and from beat, each once an interval.

A lease on the tick's row (``pipeline/store/ticks.py``) decides each time which process sends it, so the schedule
hangs on no single process. A process that is frozen or killed between the lease and the message is passed over when
the lease has expired; so is one whose broker connection hangs. Beat is one more such process, and optional.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from redis.exceptions import RedisError

from config.settings import Settings, settings
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import Dispatcher
from pipeline.broker.queue_liveness import BEAT, BEAT_EVERY, QueueLiveness, beat_on
from pipeline.broker.queues import Tick, list_ticks
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.runtime.failpoint import failpoint
from pipeline.store import ticks as store
from pipeline.store.database import Database, Unreachable

log = logging.getLogger("slipway.ticker")

LEASE = timedelta(seconds=1.5)
"""With ``MAX_PAUSE`` a tick is sent at most two seconds late when its holder freezes."""
MAX_PAUSE = 0.5
MIN_PAUSE = 0.05
"""Seconds between two looks at the rows."""
SEND_TIMEOUT = 2
"""Seconds for which sending waits for a broker that hangs."""


class Ticker:
    """Sends its ticks that no other process has sent in this interval. Used by one thread.

    It outlives errors: it logs an outage of the database once, and any other error each time.
    """

    def __init__(
        self, database: Database, dispatcher: Dispatcher, ticks: Sequence[Tick], record: Callable[[], None]
    ) -> None:
        """``record`` is called after each run: it records that this process is alive."""
        self._database, self._dispatcher, self._record = database, dispatcher, record
        self._ticks = {tick.name: tick for tick in ticks}
        self._is_reachable = True

    def run_once(self) -> float:
        """Run once. Return the seconds until the next run."""
        try:
            pause = self._send_due()
            self._record()
        except Unreachable as error:
            if self._is_reachable:
                log.warning("no periodic task is sent while the database is unreachable (%s)", error)
            self._is_reachable = False
            return MAX_PAUSE
        except Exception:
            log.exception("sending the periodic tasks failed; the next run tries again")
            return MAX_PAUSE
        self._is_reachable = True
        return pause

    def _send_due(self) -> float:
        """Claim the due ticks, send them, and record that. Return the seconds until the next run. Raises Unreachable.

        No connection is held while sending. A tick that was not sent is claimed again, by any process, after ``LEASE``.
        """
        with self._database.once() as c:
            claim = store.claim_due(c, list(self._ticks), LEASE)
        if claim.names:
            failpoint("ticks.claimed")
            mine = [self._ticks[name] for name in claim.names]
            if self._dispatcher.send_ticks(mine):
                failpoint("ticks.sent")
                with self._database.once() as c:
                    store.finish(c, {tick.name: timedelta(seconds=tick.every) for tick in mine})
        return min(max(claim.wait.total_seconds(), MIN_PAUSE), MAX_PAUSE) if claim.wait else MIN_PAUSE


class TickerThread(threading.Thread):
    """Runs a ticker in a worker, outside the pool and the consumer's loop."""

    def __init__(self, ticker: Ticker) -> None:
        super().__init__(name="ticker", daemon=True)
        self._ticker = ticker
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop sending: during a shutdown other processes send."""
        self._stopped.set()

    def run(self) -> None:
        """Send until the worker begins to shut down."""
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = self._ticker.run_once()


def create_ticker(
    s: Settings, database: Database, ticks: Sequence[Tick], record: Callable[[], None]
) -> Ticker:
    """Return a ticker with a broker connection of its own, whose timeouts are short."""
    app = create_celery_app(s, retry_broker=False, socket_timeout=SEND_TIMEOUT)
    return Ticker(database, Dispatcher(app), ticks, record)


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
        """Do nothing: the schedule is ``pipeline/broker/queues.py`` and the table ``ticks``."""

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
