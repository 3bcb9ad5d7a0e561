"""Limit the posts each key may send, with one bucket per key in Redis that all server processes share.

The limit counts posts, not requests. A new post, an edit and a validation cost one each, because each may check media;
a retry costs one per post it names. Reads, cancellations and deletions are free, so that a post can always be stopped.

The algorithm is GCRA (generic cell rate algorithm, ITU-T I.371) on the broker's clock; a minute's worth may come at
once. It fails open: without Redis, requests pass, and after one call that failed the next ones are not made for a
moment, so that no request waits for a Redis that hangs.
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
from pipeline.circuit_breaker import CircuitBreaker

log = logging.getLogger("slipway.api")

MINUTE = 60_000
"""Milliseconds."""

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
class BucketState:
    """The bucket after one request. Times are in milliseconds."""

    is_allowed: bool
    wait: int
    full_in: int
    limit: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of draft-ietf-httpapi-ratelimit-headers-07 (2023), the version clients know."""
        left = max(0, math.floor(self.limit * (1 - self.full_in / MINUTE)))
        reset = math.ceil((self.full_in if self.is_allowed else self.wait) / 1000)
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(reset),
        }


class RateLimit:
    """Counts the posts of each key. Its calls block, so they belong on a thread."""

    def __init__(self, client: redis.Redis, per_minute: int) -> None:
        self._script = client.register_script(_TAKE)
        self.per_minute = per_minute
        self._breaker = CircuitBreaker()

    def take(self, key: UUID, posts: int = 1) -> Mapping[str, str]:
        """Take *posts* from the key's bucket, all or none, and return the headers for the response.

        Raises Refusal 429 when the bucket holds too few. A request for more than a full bucket costs a full one,
        because it could never be served otherwise.
        """
        if not self._breaker.may_call():
            return {}
        numbers = [MINUTE / self.per_minute * min(posts, self.per_minute), MINUTE]
        try:
            allowed, wait, full_in = cast("list[int]", self._script(keys=[f"posts:{key}"], args=numbers))
        except (RedisError, OSError) as error:
            log.warning("rate limit not applied: broker unreachable (%s)", type(error).__name__)
            self._breaker.record_failure()
            return {}
        self._breaker.record_success()
        state = BucketState(is_allowed=bool(allowed), wait=wait, full_in=full_in, limit=self.per_minute)
        if not state.is_allowed:
            raise HttpRefusal(
                429,
                "rate_limited",
                f"This key may send {self.per_minute} posts a minute.",
                headers={**state.headers, "Retry-After": str(max(1, math.ceil(wait / 1000)))},
            )
        return state.headers
