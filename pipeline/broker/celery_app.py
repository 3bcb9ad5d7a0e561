"""The Celery app: broker options and queues, the same for senders, workers and beat.

Posts are safe in the ledger whatever the broker loses; these settings keep the broker fast and its workers awake.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES

from config.settings import Settings
from pipeline.broker.queues import ALL_QUEUES, UPKEEP

TASK_MODULES = (
    "pipeline.worker.tasks",
    "pipeline.worker.watchdog",
    "pipeline.worker.ticker_signals",
    "pipeline.worker.tracing_signals",
    "pipeline.worker.shutdown",
)

TRANSPORTS = {
    "redis": "pipeline.broker.redis_transport:Transport",
    "rediss": "pipeline.broker.redis_transport:Transport",
    "sentinel": "pipeline.broker.redis_transport:SentinelTransport",
}
"""By scheme of the broker's URL. kombu takes ``redis+socket`` for ``redis``, so that no setting names them to it."""


def broker_options(s: Settings, *, socket_timeout: int = 10) -> dict[str, Any]:
    """Return kombu's transport options for Redis or Valkey."""
    options: dict[str, Any] = {
        "visibility_timeout": s.broker.visibility_timeout,
        "max_connections": 1000,  # kombu's 10 duplicates tasks under gevent and starves 50 threads
        "socket_timeout": socket_timeout,  # a synchronous command must not hang for ever on a dead connection
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,  # of the connection a worker blocks on; without it, no messages after a reconnect
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_restore_limit": 1000,
        "queue_order_strategy": "pipeline.worker.queue_priority:PriorityRoundRobin",
    }
    if s.broker.sentinel_master:
        options["master_name"] = s.broker.sentinel_master
    return options


def create_celery_app(s: Settings, *, retry_broker: bool = True, socket_timeout: int = 10) -> Celery:
    """Return a Celery app for these settings.

    ``retry_broker`` False: for dispatch only, which fails at once if the broker is unreachable. ``socket_timeout``:
    seconds for which a command waits for a broker that hangs.
    """
    TRANSPORT_ALIASES.update(TRANSPORTS)
    app = Celery("slipway", broker=s.broker.url.get_secret_value(), include=TASK_MODULES)
    app.conf.update(
        task_queues=[Queue(name) for name in ALL_QUEUES],  # type: ignore[no-untyped-call]
        task_default_queue=UPKEEP,
        task_create_missing_queues=False,  # a misspelt queue is an error, not a queue without consumers
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # state lives in the ledger
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,  # crashes are counted in the ledger, so a poison message cannot loop for ever
        worker_prefetch_multiplier=1,
        worker_pool="pipeline.worker.shutdown:BoundedThreadPool",  # threads; a stop ends in time
        task_send_sent_event=False,  # measured elsewhere: sent events cost two fifths of the throughput
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        worker_consumer="pipeline.worker.consumer:Consumer",
        broker_channel_error_retry=True,  # a broker that is full, or a replica after a failover, ends no worker
        broker_connection_max_retries=None,  # nor does one that is away for an hour; Celery's 100 tries are over then
        broker_pool_acquire_timeout=5,
        broker_transport_options=broker_options(s, socket_timeout=socket_timeout)
        | ({} if retry_broker else {"max_retries": 0}),
        visibility_timeout=s.broker.visibility_timeout,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        event_queue_expires=60,
        timezone="UTC",
        enable_utc=True,
        beat_scheduler="pipeline.worker.beat:TickScheduler",
    )
    return app
