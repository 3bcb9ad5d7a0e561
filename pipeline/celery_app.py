"""The broker's settings: one Celery app, the same for whoever sends and whoever consumes.

Every setting has its reason; the ledger, not the broker, is what keeps a post from being lost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery
from celery.schedules import schedule
from kombu.entity import Queue

from config.settings import Settings
from pipeline.queues import ALL, DELAY, REACHABILITY, UPKEEP

INCLUDED = ("pipeline.worker.tasks", "pipeline.worker.watchdog_signals", "pipeline.worker.shutdown")
TICK_LIVES = 900
"""Seconds after which a tick that nobody took is dropped.

Beat writes its end and the worker reads it, each by its own clock: with ends as near as the next tick, a worker
whose clock was ahead dropped every sweep, and nothing that was scheduled went out (measured, five minutes ahead).
"""


def broker_options(s: Settings) -> dict[str, Any]:
    """How kombu talks to Redis or Valkey."""
    options: dict[str, Any] = {
        "visibility_timeout": s.broker.visibility_timeout,
        "max_connections": 1000,  # kombu's 10 duplicates tasks under gevent and starves 50 threads
        "socket_timeout": 10,  # a synchronous command must not hang for ever on a dead line
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,  # the line a worker blocks on is checked, or it goes deaf after a reconnect
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_restore_limit": 1000,
        "queue_order_strategy": "pipeline.worker.queue_priority:BegunFirst",
    }
    if s.broker.sentinel_master:
        options["master_name"] = s.broker.sentinel_master
    return options


def configured(s: Settings, *, patient: bool = True) -> Celery:
    """A Celery app for these settings. Not ``patient``: for ringing only, where a broker that is away costs nothing."""
    app = Celery("slipway", broker=s.broker.url.get_secret_value(), include=INCLUDED)
    app.conf.update(
        task_queues=[Queue(name) for name in ALL],  # type: ignore[no-untyped-call]
        task_default_queue=UPKEEP,
        task_create_missing_queues=False,  # a misspelt queue is an error, not a line nobody serves
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # state lives in the ledger
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,  # deliveries are counted in the ledger, so a poison task cannot loop for ever
        worker_prefetch_multiplier=1,
        worker_pool="pipeline.worker.thread_pool:Pool",  # threads, and a stop that ends in its time
        task_send_sent_event=False,  # measured elsewhere: sent events cost two fifths of the throughput
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_pool_acquire_timeout=5,
        broker_transport_options=broker_options(s) | ({} if patient else {"max_retries": 0}),
        visibility_timeout=s.broker.visibility_timeout,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        event_queue_expires=60,
        timezone="UTC",
        enable_utc=True,
        beat_schedule=_beats(s),
        beat_schedule_filename=str(s.folder / "beat"),
        beat_max_loop_interval=1,
    )
    return app


def _beats(s: Settings) -> dict[str, Any]:
    """Beat only ticks idempotent sweeps: two of them are harmless, and so are those that an outage has piled up.

    A canary goes through every queue: whoever takes it out notes that, and `/readyz` tells how long ago that was.
    """

    def tick(task: str, every: float, queue: str, *args: str) -> dict[str, Any]:
        return {
            "task": task,
            "args": args,
            "schedule": schedule(timedelta(seconds=every)),
            "options": {"queue": queue, "expires": TICK_LIVES},
        }

    return {
        "delay.sweep": tick("delay.sweep", s.delay.sweep, DELAY),
        "reachability.pulse": tick("reachability.pulse", 3, REACHABILITY),
        "upkeep.rescue": tick("upkeep.rescue", 5, UPKEEP),
        "upkeep.checks": tick("upkeep.checks", 5, UPKEEP),
        "upkeep.urls": tick("upkeep.urls", 10, UPKEEP),
        "upkeep.credentials": tick("upkeep.credentials", 60, UPKEEP),
        "upkeep.resume": tick("upkeep.resume", 10, UPKEEP),
        "upkeep.recheck": tick("upkeep.recheck", 60, UPKEEP),
        "upkeep.counts": tick("upkeep.counts", 10, UPKEEP),
        "upkeep.receipts": tick("upkeep.receipts", 5, UPKEEP),
        "upkeep.files": tick("upkeep.files", 600, UPKEEP),
        **{f"canary.{queue}": tick("canary", s.worker.canary, queue, queue) for queue in ALL},
    }
