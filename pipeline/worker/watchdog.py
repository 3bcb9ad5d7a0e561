"""The watchdog: ends a worker whose consumer takes nothing although a slot is free and messages wait.

Consumers have gone silent before without the process ending: celery issues 8030, 8091, 9054 and 10302 (after a
reconnect, some with the threads pool). A service manager restarts a process that ended, but does not notice one that
hangs. A worker whose slots are all busy has not stalled, however long it takes: its work is bounded by slices.

Start the watchdog when a worker is ready, and stop it when the worker begins to shut down.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery.signals import task_received, worker_ready, worker_shutting_down
from celery.worker import state

from config.settings import settings
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.runtime.failpoint import failpoint

log = logging.getLogger("slipway.watchdog")

STALLED_EXIT_STATUS = 70
"""EX_SOFTWARE of sysexits.h."""
CHECKS_PER_LIMIT = 12
"""How often the watchdog checks within the time after which a worker counts as stalled."""


@dataclass(kw_only=True, slots=True)
class StallDetector:
    """Measures how long messages have waited and a slot has been free without one being taken.

    All times are seconds of a monotonic clock.
    """

    limit: float
    max_gap: float
    """A longer time between two checks: this process stood still itself, and nothing can be concluded."""
    since: float | None = None
    checked_at: float | None = None
    taken_at: float = field(default=float("-inf"))

    def record_message(self, now: float) -> None:
        """Record that the consumer took a message."""
        self.taken_at = now

    def is_stalled(self, now: float, *, has_free_slot: bool, has_messages: bool) -> bool:
        """Return True if nothing has been taken for ``limit`` seconds, by this check and those before it."""
        stood_still = self.checked_at is not None and now - self.checked_at > self.max_gap
        self.checked_at = now
        if stood_still or not has_free_slot or not has_messages:
            self.since = None
            return False
        if self.since is None:
            self.since = now
        return now - max(self.since, self.taken_at) >= self.limit


class Watchdog(threading.Thread):
    """A thread outside the pool and the consumer's loop, with a Redis connection of its own."""

    def __init__(
        self, *, limit: float, has_free_slot: Callable[[], bool], has_messages: Callable[[], bool]
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._pause = limit / CHECKS_PER_LIMIT
        self._detector = StallDetector(limit=limit, max_gap=4 * self._pause + 1)
        self._has_free_slot, self._has_messages = has_free_slot, has_messages
        self._stopped = threading.Event()

    def record_message(self) -> None:
        """Record that the consumer took a message."""
        self._detector.record_message(time.monotonic())

    def stop(self) -> None:
        """Stop watching: during a shutdown the worker takes nothing on purpose."""
        self._stopped.set()

    def run(self) -> None:
        """Check until the worker ends; end it if it has stalled."""
        while not self._stopped.wait(self._pause):
            free, waiting = self._has_free_slot(), self._has_messages()
            if self._detector.is_stalled(time.monotonic(), has_free_slot=free, has_messages=waiting):
                log.critical(
                    "no message was taken for %.0f s although messages wait and a slot is free: this worker ends, to "
                    "be restarted",
                    self._detector.limit,
                )
                logging.shutdown()
                # what still runs was taken longer ago than a slice lasts; otherwise it is rescued like after a crash
                os._exit(STALLED_EXIT_STATUS)


_watchdogs: list[Watchdog] = []


@worker_ready.connect
def start_watchdog(sender: Any, **_: Any) -> None:
    """Start a watchdog; *sender* is the consumer. Processes without one (beat, inspect) get no watchdog."""
    s = settings()
    liveness = QueueLiveness(create_redis_client(s.broker.url.get_secret_value(), s.broker.sentinel_master))
    queues = list(sender.app.amqp.queues.consume_from)
    slots = int(sender.pool.num_processes)
    watchdog = Watchdog(
        limit=s.worker.deaf,
        has_free_slot=lambda: len(state.reserved_requests) < slots,
        has_messages=lambda: _has_messages(liveness, queues),
    )
    _watchdogs.append(watchdog)
    watchdog.start()


@task_received.connect
def record_message(**_: Any) -> None:
    """Record that the consumer took a message."""
    for watchdog in _watchdogs:
        watchdog.record_message()
    failpoint("worker.received")


@worker_shutting_down.connect
def stop_watchdogs(**_: Any) -> None:
    """Stop watching: from now on the worker takes nothing on purpose."""
    for watchdog in _watchdogs:
        watchdog.stop()


def _has_messages(liveness: QueueLiveness, queues: Sequence[str]) -> bool:
    """Return True if any queue holds messages; False if the broker is unreachable: a restart would not help then."""
    return any(liveness.count_messages(queue) for queue in queues)
