"""Start the ticker and the report of the host when a worker is ready, and stop them when it begins to shut down.

Messages a worker's consumer takes: proof that its queues are consumed, however long a canary waits behind a backlog.

Report what this worker's host sees of what all hosts share: the store of uploaded files, and the epoch file.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from celery.signals import task_received, worker_ready, worker_shutting_down
from celery.worker import state

from config.settings import Settings, settings
from pipeline.broker.queues import list_group_ticks
from pipeline.domain.level import lower_level
from pipeline.runtime.epoch_file import EpochFile
from pipeline.store.canaries import record_consumed, record_host
from pipeline.store.database import Database, Unreachable
from pipeline.wiring import build_storage
from pipeline.worker.ticker import TickerThread, create_ticker

REPORT_EVERY = 5.0
"""Seconds between two reports."""


class HostReport(threading.Thread):
    """Reports until the worker begins to shut down, then that it stopped. A disk that hangs keeps this thread alone."""

    def __init__(self, s: Settings, database: Database, queues: Collection[str]) -> None:
        super().__init__(name="host-report", daemon=True)
        self._settings, self._database, self._queues = s, database, queues
        self._storage, self._epoch_file = build_storage(s), EpochFile(s.mark_folder)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop reporting."""
        self._stopped.set()

    def run(self) -> None:
        """Report. The ticker logs an outage of the database."""
        while not self._stopped.is_set():
            self._record(self._look())
            self._stopped.wait(REPORT_EVERY)
        self._record(None)

    def _record(self, facts: Mapping[str, str | None] | None) -> None:
        with suppress(Unreachable), self._database.once() as c:
            record_host(c, self._queues, socket.gethostname(), facts)

    def _look(self) -> Mapping[str, str | None]:
        """Return the identity of the files, and the epoch where this process keeps it; None: there is none."""
        files = {"files": self._storage.identify()}
        if not self._settings.mark.keep:
            return files
        try:
            seen = self._epoch_file.read()
        except OSError:
            seen = None
        return {**files, "epoch": str(seen.id) if seen else None}


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

_threads: list[TickerThread | HostReport] = []
_consumptions: list[Consumption] = []


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


@worker_ready.connect
def start_ticker(sender: Any, **_: Any) -> None:
    """Start a ticker for the worker's groups; *sender* is the consumer."""
    s = settings()
    queues = list(sender.app.amqp.queues.consume_from)
    slots = int(sender.pool.num_processes)
    consumption = Consumption(
        queues,
        is_full=lambda: len(state.reserved_requests) >= slots,
        limit=max(s.worker.silent, s.publish.lease),
    )
    _consumptions.append(consumption)
    database = Database(
        s.store.url.get_secret_value(), pool=1
    )  # the tasks' pool may be empty when they are many
    ticks = list_group_ticks(s, queues)
    ticker = create_ticker(s, database, ticks, _Recorder(database, consumption, lower_level(s.level)))
    for thread in (TickerThread(ticker), HostReport(s, database, queues)):
        _threads.append(thread)
        thread.start()


@task_received.connect
def record_message(request: Any, **_: Any) -> None:
    """Record that the consumer took a message."""
    for consumption in _consumptions:
        consumption.record_message(request.delivery_info["routing_key"])


@worker_shutting_down.connect
def stop_tickers(**_: Any) -> None:
    """Stop sending: from now on the worker takes nothing."""
    for thread in _threads:
        thread.stop()
