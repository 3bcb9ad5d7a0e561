"""kombu's transports for Redis and Sentinel, whose channels outlive their connection without ending the worker.

When the broker dies, Celery's consumer collects the connection, which takes the connection's parameters from its
channels, and then closes it. kombu's channels then want to hand their unacknowledged messages back, and so does each
task that ends later and acknowledges its message. Without parameters that is an AttributeError in the worker's main
loop, and the worker ends in the midst of its calls (celery/worker/consumer/consumer.py,
``on_connection_error_after_connected``; kombu/transport/redis.py, ``_connparams``; both 5.7.0, read 2026-11-28).
ConnectionError is what both expect there, and pass over: the broker delivers the messages again, and the ledger knows
what became of them.
"""

from __future__ import annotations

from logging import Logger
from typing import Any

from kombu.transport import redis, virtual
from redis.exceptions import ConnectionError as ConnectionLost


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
