"""Rate limit buckets in Redis, of keys' requests and of the calls of a step for an account; and a circuit breaker.

GCRA (the generic cell rate algorithm, ITU-T I.371): one number per bucket, checked and updated in one Lua script by the
broker's clock.

The circuit breaker keeps callers from waiting, one after the other, for a broker that does not answer: after a failed
call, further calls are refused for some seconds, then one is tried.

Publishing fails closed: while Redis is unreachable a publish waits, because a platform bans what exceeds its limits. It
waits as a row in the database, not on a thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from adapters.limit import Rate

log = logging.getLogger("slipway.broker")
T = TypeVar("T")

PAUSE = 1.0
"""Seconds between two trial calls while the circuit is open, where no client waits for them."""
REQUEST_PAUSE = 5.0
"""The same where a request waits for the trial."""


class CircuitBreaker:
    """Closed while calls succeed, open after a failure until one succeeds. Thread-safe.

    ``pause``: seconds between two trial calls while it is open.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self._next_trial: float | None = None
        self._lock = Lock()

    def is_open(self) -> bool:
        """Return True if the last call that ended has failed."""
        return self._next_trial is not None

    def call(self, ask: Callable[[], T]) -> T | None:
        """Return what *ask* returns. Return None if it fails, or while no call may be made."""
        if not self.may_call():
            return None
        try:
            answer = ask()
        except (RedisError, OSError) as error:
            if not self.is_open():
                log.warning("broker unreachable (%s): it is asked again after %g s", error, self.pause)
            self.record_failure()
            return None
        self.record_success()
        return answer

    def may_call(self) -> bool:
        """Return True if a call may be made: always while closed, one per ``pause`` while open."""
        if self._next_trial is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._next_trial is not None:
                if now < self._next_trial:
                    return False
                self._next_trial = (
                    now + self.pause
                )  # a trial that never ends keeps the next one waiting no longer
            return True

    def record_success(self) -> None:
        """Close the circuit."""
        if self._next_trial is not None:
            with self._lock:
                self._next_trial = None

    def record_failure(self) -> None:
        """Open the circuit, or keep it open for another ``pause``."""
        with self._lock:
            self._next_trial = time.monotonic() + self.pause


_GCRA = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local wait, full, tats = 0, 0, {}
for i, key in ipairs(KEYS) do
  local cost, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tat = math.max(tonumber(redis.call('GET', key) or 0), now)
  tats[i] = tat + cost
  wait, full = math.max(wait, tats[i] - now - burst), math.max(full, tat - now)
end
if wait > 0 then return {math.ceil(wait), math.ceil(full)} end
for i, key in ipairs(KEYS) do
  full = math.max(full, tats[i] - now)
  redis.call('SET', key, tostring(tats[i]), 'PX', math.ceil(tats[i] - now) + 1000)
end
return {0, math.ceil(full)}
"""

REDIS_TIMEOUT = 2.0
"""Seconds for one command, in a process whose work no client waits for."""
UNREACHABLE_WAIT = timedelta(seconds=5)
"""How long a publish waits before it asks again while Redis is unreachable."""


class Bucket(NamedTuple):
    """The cost of one take, and how much may be taken at once; both in milliseconds of the bucket's rate."""

    cost: float
    burst: float


class Taken(NamedTuple):
    """The answer for some buckets, in milliseconds. ``wait`` 0: it was taken; ``full``: until all are full again."""

    wait: int
    full: int


class Buckets:
    """Any buckets in Redis, each by its key. ``pause``: seconds between two calls while Redis is unreachable."""

    def __init__(self, client: redis.Redis, pause: float = PAUSE) -> None:
        self._script = client.register_script(_GCRA)
        self._breaker = CircuitBreaker(pause)

    def take(self, buckets: Mapping[str, Bucket]) -> Taken | None:
        """Take from every bucket, or from none; None while Redis is unreachable."""
        numbers = [number for bucket in buckets.values() for number in bucket]
        answer = self._breaker.call(lambda: self._script(keys=list(buckets), args=numbers))
        return None if answer is None else Taken(*cast("list[int]", answer))


def list_costs(rates: Iterable[Rate], step: str) -> list[int]:
    """Return the milliseconds between two calls of a step, by each rate that bounds it.

    Without a burst: GCRA would allow bursts, and the platforms' fixed windows do not.
    """
    return [int(rate.per.total_seconds() * 1000 / rate.count) for rate in rates if rate.step == step]


class RateBuckets:
    """The buckets of all accounts and steps. ``enabled`` False lets every call pass (sandbox without limits)."""

    def __init__(self, client: redis.Redis, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._buckets = Buckets(client)

    def take(self, account_id: str, step: str, rates: tuple[Rate, ...]) -> timedelta:
        """Take from every bucket of a step and return zero; or take nothing and return how long to wait."""
        costs = list_costs(rates, step)
        if not costs or not self._enabled:
            return timedelta(0)
        keys = {f"pace:{account_id}:{step}:{n}": Bucket(cost, cost) for n, cost in enumerate(costs)}
        taken = self._buckets.take(keys)
        return UNREACHABLE_WAIT if taken is None else timedelta(milliseconds=taken.wait)


def create_redis_client(
    broker_url: str, sentinel_master: str = "", *, timeout: float = REDIS_TIMEOUT
) -> redis.Redis:
    """Return a client for the broker's Redis at kombu's form of its URL. *timeout*: seconds for one command.

    Connecting, and each step of it, has the same limit, so a broker that hangs costs a caller one time-out.
    A command is repeated once on a new connection if its own was closed, and not if it timed out: redis-py's own
    retries cost seconds a call while Redis is away (measured).
    """
    time_limits: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 1),
        "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
    }
    if broker_url.startswith("redis+socket://"):
        path, _, query = broker_url.removeprefix("redis+socket://").partition("?")
        db = dict(part.split("=", 1) for part in query.split("&") if "=" in part).get("virtual_host", "0")
        return redis.Redis(unix_socket_path=path, db=int(db), **time_limits)
    if broker_url.startswith("sentinel://"):
        hosts = [part.removeprefix("sentinel://").rstrip("/") for part in broker_url.split(";")]
        pairs = [
            (h.rpartition("@")[2].partition(":")[0], int(h.rpartition(":")[2].partition("/")[0]))
            for h in hosts
        ]
        sentinel = redis.Sentinel(pairs, **time_limits)  # type: ignore[no-untyped-call]
        return cast("redis.Redis", sentinel.master_for(sentinel_master))  # type: ignore[no-untyped-call]
    return redis.Redis.from_url(broker_url, **time_limits)
