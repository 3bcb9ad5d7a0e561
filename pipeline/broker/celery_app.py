"""The Celery app: broker options and queues, the same for senders, workers and beat; and what replaces parts of kombu.

Posts are safe in the ledger whatever the broker loses; these settings keep the broker fast and its workers awake.

**Transports** for Redis and Sentinel, whose channels outlive their connection without ending the worker. When the
broker dies, Celery's consumer collects the connection, which takes the connection's parameters from its channels, and
then closes it. kombu's channels then want to hand their unacknowledged messages back, and so does each task that ends
later and acknowledges its message. Without parameters that is an AttributeError in the worker's main loop, and the
worker ends in the midst of its calls (celery/worker/consumer/consumer.py, ``on_connection_error_after_connected``;
kombu/transport/redis.py, ``_connparams``; both 5.7.0, read 2026-11-28). ConnectionError is what both expect there, and
pass over: the broker delivers the messages again, and the ledger knows what became of them.

**Queue priority**: the order in which a worker takes messages when its queues hold more than it can do at once.
"""

from __future__ import annotations

from logging import Logger
from typing import Any

from celery import Celery
from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.scheduling import round_robin_cycle
from redis.exceptions import ConnectionError as ConnectionLost

from config.settings import Settings
from pipeline.broker.queues import ALL_QUEUES, DELAY, STATUS, UPKEEP


class Message(virtual.Message):
    """A message that may outlive the broker it came from. Then its task ends as usual: that is no CRITICAL error."""

    def ack_log_error(
        self, logger: Logger, errors: tuple[type[Exception], ...], multiple: bool = False
    ) -> None:
        """Acknowledge the message, or log in one line that its broker is gone."""
        try:
            self.ack(multiple=multiple)  # type: ignore[no-untyped-call]
        except errors as error:
            logger.warning(
                "A message that is done could not be acknowledged; the broker delivers it again: %s", error
            )


class _LostConnection:
    """The part of a channel that says that its connection is lost where kombu reads parameters that are gone."""

    Message = Message
    connection: Any

    def _connparams(self, *args: Any, **options: Any) -> Any:
        """Return the parameters of a connection to the broker. Raise ConnectionLost if this channel's was closed."""
        if self.connection.client is None:
            raise ConnectionLost("The connection of this channel was lost.")
        return super()._connparams(*args, **options)  # type: ignore[misc]


class Channel(_LostConnection, redis.Channel):
    """A channel to Redis or Valkey."""


class SentinelChannel(_LostConnection, redis.SentinelChannel):
    """A channel to the master that Sentinel names."""


class Transport(redis.Transport):
    """The transport of URLs that begin with redis, rediss and redis+socket."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """The transport of URLs that begin with sentinel."""

    Channel = SentinelChannel


PRIORITY = (STATUS, DELAY)


class PriorityRoundRobin(round_robin_cycle):
    """Round robin, but after each message of a platform's queue a look and a slot message go first, if any wait.

    A look finishes a delivery that was begun. With an equal turn among the platforms' queues, looks fell behind for
    hours under load (57,000 were seen), and more deliveries were begun than finished. Slot messages arrived faster than
    they were taken; they cost little, because they are coalesced.
    """

    def rotate(self, last_used: str) -> str:
        """Move the queue just served to the end, and the priority queues to the front unless it was one of them."""
        super().rotate(last_used)  # type: ignore[no-untyped-call]
        if last_used not in PRIORITY:
            self.items.sort(key=lambda queue: PRIORITY.index(queue) if queue in PRIORITY else len(PRIORITY))
        return last_used


TASK_MODULES = (
    "pipeline.worker.tasks",
    "pipeline.worker.liveness",
    "pipeline.worker.lifecycle",
)

TRANSPORTS = {
    "redis": "pipeline.broker.celery_app:Transport",
    "rediss": "pipeline.broker.celery_app:Transport",
    "sentinel": "pipeline.broker.celery_app:SentinelTransport",
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
        "queue_order_strategy": "pipeline.broker.celery_app:PriorityRoundRobin",
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
        worker_pool="pipeline.worker.lifecycle:BoundedThreadPool",  # threads; a stop ends in time
        task_send_sent_event=False,  # measured elsewhere: sent events cost two fifths of the throughput
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        worker_consumer="pipeline.worker.lifecycle:Consumer",
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
        beat_scheduler="pipeline.worker.ticker:TickScheduler",
    )
    return app
