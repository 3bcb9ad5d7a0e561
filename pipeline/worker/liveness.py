"""The threads of a worker next to its work: a watchdog, the ticker, and a report of what its host sees.

**The watchdog** ends a worker whose consumer takes nothing although a slot is free and messages wait. Consumers have
gone silent before without the process ending: celery issues 8030, 8091, 9054 and 10302 (after a reconnect, some with
the threads pool). A service manager restarts a process that ended, but does not notice one that hangs. A worker whose
slots are all busy has not stalled, however long it takes: its work is bounded by slices.

**Consumption**: the messages that a worker takes prove that its queues are consumed, however long a canary waits behind
a backlog. **The report** is what `slipway doctor` compares: what all hosts share, versions, settings and clocks.

They start when a worker is ready, and stop when it begins to shut down.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from celery.signals import task_received, worker_ready, worker_shutting_down
from celery.worker import state

from config.settings import Settings, settings
from pipeline.actions.hosts import describe_worker, look_at_shared
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.broker.queues import list_group_ticks
from pipeline.domain.level import lower_level
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.failpoint import failpoint
from pipeline.store.canaries import record_consumed, record_host
from pipeline.store.database import Database, Unreachable
from pipeline.wiring import build_storage
from pipeline.worker.ticker import TickerThread, create_ticker

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


def _has_messages(liveness: QueueLiveness, queues: Sequence[str]) -> bool:
    """Return True if any queue holds messages; False if the broker is unreachable: a restart would not help then."""
    return any(liveness.count_messages(queue) for queue in queues)


REPORT_EVERY = 5.0
"""Seconds between two reports."""


class HostReport(threading.Thread):
    """Reports until the worker begins to shut down, then that it stopped. A disk that hangs keeps this thread alone."""

    def __init__(self, s: Settings, database: Database, queues: Collection[str]) -> None:
        super().__init__(name="host-report", daemon=True)
        self._settings, self._database, self._queues = s, database, queues
        self._storage, self._epoch_file = build_storage(s), EpochFile(s.mark_folder)
        self._own = describe_worker(s)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop reporting."""
        self._stopped.set()

    def run(self) -> None:
        """Report. The ticker logs an outage of the database."""
        while not self._stopped.is_set():
            seen = look_at_shared(self._settings, self._storage, self._epoch_file)
            self._record({**self._own, **seen, "clock": datetime.now(UTC).isoformat()})
            self._stopped.wait(REPORT_EVERY)
        self._record(None)

    def _record(self, facts: Mapping[str, Any] | None) -> None:
        with suppress(Unreachable), self._database.once() as c:
            record_host(c, self._queues, socket.gethostname(), facts)


class Consumption:
    """Collects the queues that one worker consumes. Thread-safe.

    ``is_full``: whether every slot of the worker is busy. Such a worker takes nothing, but it is at work: all of its
    ``queues`` count as consumed until ``limit`` seconds after its last message, which is longer than work may take.
    """

    def __init__(self, queues: Collection[str], *, is_full: Callable[[], bool], limit: float) -> None:
        self._queues = frozenset(queues)
        self._is_full = is_full
        self._limit = limit
        self._taken: set[str] = set()
        self._taken_at = float("-inf")

    def record_message(self, queue: str) -> None:
        """Record that the consumer took a message from a queue."""
        self._taken.add(queue)
        self._taken_at = time.monotonic()

    def collect(self) -> frozenset[str]:
        """Return the queues consumed since the last call."""
        taken, self._taken = self._taken, set()
        if self._is_full() and time.monotonic() - self._taken_at < self._limit:
            return self._queues
        return self._queues & taken


RECORD_EVERY = 1.0
"""Seconds between two records of the consumed queues."""


class _Recorder:
    """Records, at most once in ``RECORD_EVERY`` seconds, which queues were consumed."""

    def __init__(self, database: Database, consumption: Consumption, level: int) -> None:
        self._database, self._consumption, self._level = database, consumption, level
        self._due_at = float("-inf")

    def __call__(self) -> None:
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + RECORD_EVERY
        queues = self._consumption.collect()
        if not queues:
            return
        with self._database.once() as c:
            record_consumed(c, queues, self._level)


_threads: list[Watchdog | TickerThread | HostReport] = []
_records: list[tuple[Watchdog, Consumption]] = []


@worker_ready.connect
def start_threads(sender: Any, **_: Any) -> None:
    """Start the threads; *sender* is the consumer. Processes without one (beat, inspect) get none."""
    s = settings()
    queues = list(sender.app.amqp.queues.consume_from)
    slots = int(sender.pool.num_processes)
    liveness = QueueLiveness(create_redis_client(s.broker.url.get_secret_value(), s.broker.sentinel_master))
    watchdog = Watchdog(
        limit=s.worker.deaf,
        has_free_slot=lambda: len(state.reserved_requests) < slots,
        has_messages=lambda: _has_messages(liveness, queues),
    )
    consumption = Consumption(
        queues,
        is_full=lambda: len(state.reserved_requests) >= slots,
        limit=max(s.worker.silent, s.publish.lease),
    )
    _records.append((watchdog, consumption))
    # the tasks' pool may be empty when they are many
    database = Database(s.store.url.get_secret_value(), pool=1)
    recorder = _Recorder(database, consumption, lower_level(s.level))
    ticker = TickerThread(create_ticker(s, database, list_group_ticks(s, queues), recorder))
    for thread in (watchdog, ticker, HostReport(s, database, queues)):
        _threads.append(thread)
        thread.start()


@task_received.connect
def record_message(request: Any, **_: Any) -> None:
    """Record that the consumer took a message."""
    for watchdog, _consumption in _records:
        watchdog.record_message()
    failpoint("worker.received")
    for _watchdog, consumption in _records:
        consumption.record_message(request.delivery_info["routing_key"])


@worker_shutting_down.connect
def stop_threads(**_: Any) -> None:
    """Stop them: from now on the worker takes nothing on purpose."""
    for thread in _threads:
        thread.stop()
