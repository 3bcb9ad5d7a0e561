"""Queue liveness and queue lengths, read from Redis.

A worker that takes messages from a queue sets a key that expires: while the key is there, the queue has a consumer. An
empty queue that should hold messages has lost them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import redis
from redis.exceptions import RedisError

from pipeline.limits.rate_buckets import PAUSE, CircuitBreaker

BEAT_TTL = 12
"""Seconds for which one record counts; one is made every three seconds."""
BEAT = "beat"
"""Not a queue: the key that beat itself sets while it runs."""
_PROBE = "pulse:doctor"
BEAT_EVERY = 3.0
"""Seconds between two records by beat."""


def beat_on(host: str) -> str:
    """Return the key of the beat of one host, or container, for its health check."""
    return f"{BEAT}@{host}"


def beat_key(queue: str) -> str:
    """Return the name of the queue's key."""
    return f"pulse:{queue}"


MARKER = "pulse:memory"
"""A key without expiry: a broker that lacks it has lost all of its data."""


class QueueLiveness:
    """One key per queue in Redis. A method that answers when Redis is unreachable documents that answer."""

    def __init__(self, client: redis.Redis, pause: float = PAUSE) -> None:
        """*pause*: seconds for which ``is_alive`` does not ask a Redis that has failed to answer."""
        self._client = client
        self._breaker = CircuitBreaker(pause)

    def record_beat(self, queue: str) -> None:
        """Record that the queue has a consumer. Raises RedisError."""
        self._client.set(beat_key(queue), 1, ex=BEAT_TTL)

    def is_alive(self, queue: str) -> bool:
        """Return True if the queue was consumed within ``BEAT_TTL``; False if Redis is unreachable."""
        return bool(self._breaker.call(lambda: self._client.exists(beat_key(queue))))

    def count_messages(self, queue: str) -> int | None:
        """Return how many messages wait in a queue; None if Redis is unreachable."""
        try:
            return self._client.llen(queue)
        except (RedisError, OSError):
            return None

    def probe_broker(self) -> datetime:
        """Write a key, as a message would be written, and return the broker's clock. Raises RedisError and OSError."""
        self._client.set(_PROBE, 1, ex=BEAT_TTL)
        seconds, microseconds = self._client.time()
        return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)

    def has_marker(self) -> bool:
        """Return False if the broker has lost its data since ``set_marker``; True if Redis is unreachable."""
        try:
            return bool(self._client.exists(MARKER))
        except (RedisError, OSError):
            return True

    def set_marker(self) -> None:
        """Set the key that only a broker without its data lacks. Raises RedisError."""
        self._client.set(MARKER, 1)

    def list_empty(self, queues: Sequence[str]) -> frozenset[str]:
        """Return the queues in which no message waits; none if Redis is unreachable."""
        try:
            return frozenset(q for q in queues if not self._client.llen(q))
        except (RedisError, OSError):
            return frozenset()
