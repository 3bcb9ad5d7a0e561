"""Queue liveness: keys in Redis that expire, and answers while Redis is unreachable."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import RedisError

from pipeline.broker.queue_liveness import BEAT_TTL, QueueLiveness
from pipeline.limits.rate_buckets import create_redis_client


def test_a_queue_is_alive_for_a_while_after_somebody_consumed_it(broker_url: str) -> None:
    client = create_redis_client(broker_url)
    liveness = QueueLiveness(client)
    assert not liveness.is_alive("reachability")
    liveness.record_beat("reachability")
    assert liveness.is_alive("reachability")
    assert not liveness.is_alive("status"), "each queue has its own"
    left = client.ttl("pulse:reachability")
    assert isinstance(left, int)
    assert BEAT_TTL - 2 <= left <= BEAT_TTL
    assert client.pexpire("pulse:reachability", 1)
    while client.exists("pulse:reachability"):
        pass  # a millisecond
    assert not liveness.is_alive("reachability")
    client.close()


def test_nobody_is_alive_while_the_broker_is_away() -> None:
    client: redis.Redis = create_redis_client("redis+socket:///tmp/nobody-is-here?virtual_host=0")
    liveness = QueueLiveness(client)
    assert not liveness.is_alive("reachability")
    with pytest.raises(RedisError):
        liveness.record_beat("reachability")
    client.close()
