"""Whether anybody consumes a queue: a beat message goes through it, and whoever runs it leaves a mark that fades."""

from __future__ import annotations

import redis
from redis.exceptions import RedisError

FADES = 12
"""Seconds a mark lasts; the beat comes every three."""


class Pulse:
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
