"""Rate buckets on a real broker: spacing, all buckets or none, and failing closed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
import redis
from redis.exceptions import RedisError

from adapters.limit import Rate
from pipeline.limits.rate_buckets import UNREACHABLE_WAIT, CircuitBreaker, RateBuckets, create_redis_client
from pipeline.store.database import new_id
from tests.broker_outages import full
from tests.conftest import Engines
from tests.pipeline.store.ledger import together

ZERO = timedelta(0)


def rate(count: int, seconds: float, step: str = "finalize") -> Rate:
    return Rate(step=step, count=count, per=timedelta(seconds=seconds))  # type: ignore[arg-type]


@pytest.fixture
def client(broker_url: str) -> Iterator[redis.Redis]:
    made = create_redis_client(broker_url)
    yield made
    made.close()


@pytest.fixture
def rate_buckets(client: redis.Redis) -> RateBuckets:
    return RateBuckets(client)


def test_calls_are_spaced_by_period_over_count(rate_buckets: RateBuckets) -> None:
    account, rates = str(new_id()), (rate(6, 60),)
    assert rate_buckets.take(account, "finalize", rates) == ZERO
    wait = rate_buckets.take(account, "finalize", rates)
    assert timedelta(seconds=9.5) < wait <= timedelta(seconds=10)
    again = rate_buckets.take(account, "finalize", rates)
    assert again <= wait, "who has to wait takes nothing"


def test_after_the_wait_the_next_one_may_go(rate_buckets: RateBuckets) -> None:
    account, rates = str(new_id()), (rate(10, 1),)
    went: list[tuple[float, float]] = []
    end = time.monotonic() + 60
    while len(went) < 4 and (asked := time.monotonic()) < end:
        if rate_buckets.take(account, "finalize", rates) == ZERO:
            went.append((asked, time.monotonic()))
    assert len(went) == 4
    assert all(answered - asked > 0.09 for (asked, _), (_, answered) in pairwise(went)), went


def test_each_account_and_each_step_has_its_own_bucket(rate_buckets: RateBuckets) -> None:
    one, two = str(new_id()), str(new_id())
    rates = (rate(1, 60), rate(1, 60, "look"))
    for account in (one, two):
        for step in ("finalize", "look"):
            assert rate_buckets.take(account, step, rates) == ZERO
            assert rate_buckets.take(account, step, rates) > ZERO


def test_a_step_without_a_rate_is_free(rate_buckets: RateBuckets) -> None:
    account = str(new_id())
    for _ in range(5):
        assert rate_buckets.take(account, "prepare", (rate(1, 60),)) == ZERO
        assert rate_buckets.take(account, "finalize", ()) == ZERO


def test_all_buckets_of_a_step_or_none(rate_buckets: RateBuckets, client: redis.Redis) -> None:
    """A minute's bucket that is full keeps an hour's from being drawn from."""
    account = str(new_id())
    slow, fast = rate(1, 3600), rate(1, 60)
    key = f"pace:{account}:finalize:0"
    assert rate_buckets.take(account, "finalize", (fast, slow)) == ZERO
    hour = client.get(f"pace:{account}:finalize:1")
    client.delete(key)  # the minute is over, the hour is not
    wait = rate_buckets.take(account, "finalize", (fast, slow))
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    assert client.get(key) is None, "nothing was taken from the bucket that had room"
    assert client.get(f"pace:{account}:finalize:1") == hour


def test_of_sixteen_at_once_one_goes(rate_buckets: RateBuckets) -> None:
    for _ in range(5):
        account = str(new_id())
        waits = together(*[partial(rate_buckets.take, account, "finalize", (rate(6, 60),))] * 16)
        assert waits.count(ZERO) == 1


def test_buckets_fade(rate_buckets: RateBuckets, client: redis.Redis) -> None:
    account = str(new_id())
    rate_buckets.take(account, "finalize", (rate(6, 60),))
    assert 9_000 < int(client.pttl(f"pace:{account}:finalize:0")) <= 11_001


def test_a_broker_that_forgot_everything_still_paces(rate_buckets: RateBuckets, client: redis.Redis) -> None:
    account = str(new_id())
    assert rate_buckets.take(account, "finalize", (rate(1, 60),)) == ZERO
    client.flushdb()
    client.script_flush()
    assert rate_buckets.take(account, "finalize", (rate(1, 60),)) == ZERO
    assert rate_buckets.take(account, "finalize", (rate(1, 60),)) > ZERO


def test_closed_while_the_broker_is_away() -> None:
    client = create_redis_client("redis+socket:///tmp/nobody-is-here?virtual_host=0")
    rate_buckets = RateBuckets(client)
    assert rate_buckets.take("a", "finalize", (rate(1, 60),)) == UNREACHABLE_WAIT
    assert rate_buckets.take("a", "prepare", (rate(1, 60),)) == ZERO, "what needs no bucket needs no broker"
    client.close()


def test_after_a_failed_call_none_is_made_for_a_moment(rate_buckets: RateBuckets, engines: Engines) -> None:
    """Deliveries do not wait one after the other for a broker that hangs."""
    rates = (rate(1, 60),)
    rate_buckets._buckets._breaker.pause = math.inf
    with full(engines.valkey):
        assert rate_buckets.take("a", "finalize", rates) == UNREACHABLE_WAIT
    assert rate_buckets.take("a", "finalize", rates) == UNREACHABLE_WAIT, "it would have been free"
    rate_buckets._buckets._breaker.pause = 0.0
    rate_buckets._buckets._breaker.record_failure()
    assert rate_buckets.take("a", "finalize", rates) == ZERO, "the trial"
    assert rate_buckets.take("b", "finalize", rates) == ZERO


def test_it_can_be_lifted(client: redis.Redis) -> None:
    rate_buckets = RateBuckets(client, enabled=False)
    for _ in range(3):
        assert rate_buckets.take("a", "finalize", (rate(1, 60),)) == ZERO


def test_the_brokers_address_is_read_as_kombu_spells_it(engines: Engines, broker_url: str) -> None:
    number = int(broker_url.partition("virtual_host=")[2])
    client = create_redis_client(broker_url)
    client.set("here", "1")
    same = engines.valkey.client(number)
    assert same.get("here") in (b"1", "1")
    plain = create_redis_client("redis://user:secret@broker.example:6380/3")
    assert plain.connection_pool.connection_kwargs["host"] == "broker.example"
    assert plain.connection_pool.connection_kwargs["db"] == 3
    for one in (client, same, plain):
        one.close()


# --- the circuit breaker ---------------------------------------------------------------------------------------------


def test_a_failure_opens_it_and_a_success_closes_it() -> None:
    breaker = CircuitBreaker(math.inf)
    assert [breaker.may_call() for _ in range(3)] == [True] * 3
    breaker.record_failure()
    assert breaker.is_open()
    assert not breaker.may_call()
    breaker.record_success()
    assert not breaker.is_open()
    assert breaker.may_call()


def test_after_the_pause_one_call_is_tried() -> None:
    breaker = CircuitBreaker(0.0)
    breaker.record_failure()
    breaker.pause = math.inf
    assert [breaker.may_call() for _ in range(3)] == [True, False, False]
    assert breaker.is_open(), "until the trial has succeeded"


@pytest.mark.parametrize("error", [RedisError, ConnectionRefusedError])
def test_a_call_that_fails_answers_none_and_none_is_made_after_it(error: type[Exception]) -> None:
    breaker = CircuitBreaker(math.inf)
    asked: list[None] = []

    def ask() -> int:
        asked.append(None)
        if len(asked) > 1:
            raise error
        return 0

    assert [breaker.call(ask) for _ in range(9)] == [0, *[None] * 8]
    assert len(asked) == 2


def test_an_error_of_ours_is_raised() -> None:
    breaker = CircuitBreaker()
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)
