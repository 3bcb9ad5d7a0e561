"""Start the ticker and the report of the host when a worker is ready, and stop them when it begins to shut down."""

from __future__ import annotations

import time
from typing import Any

from celery.signals import task_received, worker_ready, worker_shutting_down
from celery.worker import state

from config.settings import settings
from pipeline.broker.ticks import list_group_ticks
from pipeline.domain.level import lower_level
from pipeline.store.canaries import record_consumed
from pipeline.store.database import Database
from pipeline.worker.consumption import Consumption
from pipeline.worker.host_report import HostReport
from pipeline.worker.ticker import TickerThread, create_ticker

RECORD_EVERY = 1.0
"""Seconds between two records of what is consumed."""

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
