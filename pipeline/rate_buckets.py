"""Short rate buckets in Redis: when the next call of a kind may be made for an account.

GCRA (the generic cell rate algorithm, ITU-T I.371): one number per bucket, checked and taken in one Lua script by the
broker's own clock. Closed when Redis is away: a publish waits rather than run into a platform's ban.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from adapters.contract import Rate

_GCRA = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local wait, tats = 0, {}
for i, key in ipairs(KEYS) do
  tats[i] = math.max(tonumber(redis.call('GET', key) or 0), now)
  wait = math.max(wait, tats[i] - now)
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  local tat = tats[i] + tonumber(ARGV[i])
  redis.call('SET', key, tat, 'PX', math.ceil(tat - now) + 1000)
end
return 0
"""
# No burst: calls are spaced by per/count. A burst would fit GCRA but not the platforms' fixed windows.

CLOSED = timedelta(seconds=5)
"""How long a publish waits before it asks again when Redis is away."""


class RateBuckets:
    """Asks all buckets of a step and takes from all, or from none and says how long to wait."""

    def __init__(self, client: redis.Redis, *, on: bool = True) -> None:
        self._client = client
        self._on = on
        self._script = client.register_script(_GCRA)

    def wait(self, account_id: str, step: str, rates: tuple[Rate, ...]) -> timedelta:
        """Zero: taken, go on. Otherwise how long to wait; nothing was taken."""
        mine = [rate for rate in rates if rate.step == step]
        if not mine or not self._on:
            return timedelta(0)
        keys = [f"pace:{account_id}:{step}:{n}" for n in range(len(mine))]
        numbers = [int(rate.per.total_seconds() * 1000 / rate.count) for rate in mine]
        try:
            return timedelta(milliseconds=int(cast("int", self._script(keys=keys, args=numbers))))
        except (RedisError, OSError):
            return CLOSED


def redis_client(broker_url: str, sentinel_master: str = "") -> redis.Redis:
    """A client for the broker's Redis, from kombu's spelling of its address; nothing waits long for a doorbell."""
    patience: dict[str, Any] = {
        "socket_timeout": 2,
        "socket_connect_timeout": 1,
        "retry": Retry(
            NoBackoff(), 1
        ),  # redis-py's own retries cost seconds a call while Redis is away (measured)
    }
    if broker_url.startswith("redis+socket://"):
        path, _, query = broker_url.removeprefix("redis+socket://").partition("?")
        db = dict(part.split("=", 1) for part in query.split("&") if "=" in part).get("virtual_host", "0")
        return redis.Redis(unix_socket_path=path, db=int(db), **patience)
    if broker_url.startswith("sentinel://"):
        hosts = [part.removeprefix("sentinel://").rstrip("/") for part in broker_url.split(";")]
        pairs = [
            (h.rpartition("@")[2].partition(":")[0], int(h.rpartition(":")[2].partition("/")[0]))
            for h in hosts
        ]
        sentinel = redis.Sentinel(pairs, **patience)  # type: ignore[no-untyped-call]
        return cast("redis.Redis", sentinel.master_for(sentinel_master))  # type: ignore[no-untyped-call]
    return redis.Redis.from_url(broker_url, **patience)
