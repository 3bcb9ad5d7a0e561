"""How many posts a key may send: a token bucket per key in Redis, shared by all server processes.

It counts posts, not calls: a new post, an edit and a validation are one each (each may have media looked at), a retry
is one for every post it names. Reading, cancelling and deleting are not counted: nobody is kept from stopping a post.

GCRA (the generic cell rate algorithm, ITU-T I.371) with a burst of one minute's worth, by the broker's own clock.
Open when Redis is away: a lost limit is better than a lost post.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import redis
from redis.exceptions import RedisError

from pipeline.api.http.envelope import HttpRefusal

log = logging.getLogger("slipway.api")

MINUTE = 60_000

_TAKE = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if tat + cost - now > burst then return {0, math.ceil(tat + cost - now - burst), math.ceil(tat - now)} end
tat = tat + cost
redis.call('SET', KEYS[1], tostring(tat), 'PX', math.ceil(tat - now) + 1000)
return {1, 0, math.ceil(tat - now)}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What one request got from its bucket. Times in milliseconds."""

    taken: bool
    wait: int
    full_in: int
    limit: int

    @property
    def headers(self) -> Mapping[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-07 (2023) spells them, which is what clients know."""
        left = max(0, math.floor(self.limit * (1 - self.full_in / MINUTE)))
        reset = math.ceil((self.full_in if self.taken else self.wait) / 1000)
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(reset),
        }


class Meter:
    """Counts the posts of every key against one limit. Blocking: for a thread."""

    def __init__(self, client: redis.Redis, per_minute: int) -> None:
        self._script = client.register_script(_TAKE)
        self.per_minute = per_minute

    def take(self, key: UUID, posts: int = 1) -> Mapping[str, str]:
        """Takes posts from the key's bucket, all or none; the headers for the answer.

        Raises Refusal 429 when it holds too few. More than a whole bucket is taken as a whole one: else it would be
        told to wait for what never comes.
        """
        numbers = [MINUTE / self.per_minute * min(posts, self.per_minute), MINUTE]
        try:
            taken, wait, full_in = cast("list[int]", self._script(keys=[f"posts:{key}"], args=numbers))
        except (RedisError, OSError) as error:
            log.warning("the rate limit is open: the broker cannot be asked (%s)", type(error).__name__)
            return {}
        found = Standing(taken=bool(taken), wait=wait, full_in=full_in, limit=self.per_minute)
        if not found.taken:
            raise HttpRefusal(
                429,
                "rate_limited",
                f"This key may send {self.per_minute} posts a minute.",
                headers={**found.headers, "Retry-After": str(max(1, math.ceil(wait / 1000)))},
            )
        return found.headers
