"""Whether anybody consumes a queue: a beat message goes through it, and whoever runs it leaves a mark that fades.

And whether a queue holds anything at all: what should stand in an empty one was lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import redis
from redis.exceptions import RedisError

FADES = 12
"""Seconds a mark lasts; the beat comes every three."""

MEMORY = "pulse:memory"


class QueueLiveness:
    """Marks in Redis, one a queue."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def beat(self, queue: str) -> None:
        """Called by the task that went through the queue."""
        self._client.set(f"pulse:{queue}", 1, ex=FADES)

    def alive(self, queue: str) -> bool:
        """Whether the queue was consumed lately; False when Redis is away: then nobody can be waited for."""
        try:
            return bool(self._client.exists(f"pulse:{queue}"))
        except (RedisError, OSError):
            return False

    def length(self, queue: str) -> int | None:
        """How many messages wait in a queue; None when Redis is away."""
        try:
            return self._client.llen(queue)
        except (RedisError, OSError):
            return None

    def remembers(self) -> bool:
        """Whether the broker still has what ``remember`` wrote; True when it is away: then nothing can be told."""
        try:
            return bool(self._client.exists(MEMORY))
        except (RedisError, OSError):
            return True

    def remember(self) -> None:
        """Leaves a mark that only a broker that forgot everything loses. Raises RedisError."""
        self._client.set(MEMORY, 1)

    def empty(self, queues: Sequence[str]) -> frozenset[str]:
        """Those of the queues in which no message waits; none when Redis is away: then nothing is known of them."""
        try:
            return frozenset(q for q in queues if not self._client.llen(q))
        except (RedisError, OSError):
            return frozenset()
