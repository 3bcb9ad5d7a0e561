"""Puts the watchdog beside a worker: when it is ready, until it is told to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery.signals import task_received, worker_ready, worker_shutting_down
from celery.worker import state

from config.settings import settings
from pipeline.failpoint import failpoint
from pipeline.queue_liveness import QueueLiveness
from pipeline.rate_buckets import redis_client
from pipeline.worker.watchdog import Watchdog

_watchdogs: list[Watchdog] = []


@worker_ready.connect
def guard(sender: Any, **_: Any) -> None:
    """``sender`` is the consumer. An inspecting or a beat process has none, and no watchdog."""
    s = settings()
    liveness = QueueLiveness(redis_client(s.broker.url.get_secret_value(), s.broker.sentinel_master))
    queues = list(sender.app.amqp.queues.consume_from)
    slots = int(sender.pool.num_processes)
    watchdog = Watchdog(
        limit=s.worker.deaf,
        room=lambda: len(state.reserved_requests) < slots,
        waiting=lambda: _any_waits(liveness, queues),
    )
    _watchdogs.append(watchdog)
    watchdog.start()


@task_received.connect
def heard(**_: Any) -> None:
    """The consumer took a message."""
    for watchdog in _watchdogs:
        watchdog.heard()
    failpoint("worker.received")


@worker_shutting_down.connect
def stop(**_: Any) -> None:
    """From here on it takes nothing on purpose."""
    for watchdog in _watchdogs:
        watchdog.stop()


def _any_waits(liveness: QueueLiveness, queues: Sequence[str]) -> bool:
    """Broker away: nothing is known of its queues, and ending would not bring it back."""
    return any(liveness.length(queue) for queue in queues)
