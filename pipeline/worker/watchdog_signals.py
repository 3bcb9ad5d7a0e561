"""Start the watchdog when a worker is ready, and stop it when the worker begins to shut down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery.signals import task_received, worker_ready, worker_shutting_down
from celery.worker import state

from config.settings import settings
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.runtime.failpoint import failpoint
from pipeline.worker.watchdog import Watchdog

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
