"""The dispatcher: many requests that wait for one URL send one message for it, until it has been tried."""

from __future__ import annotations

from uuid import uuid4

import pytest
from redis import Redis

from config.settings import load
from pipeline.broker import dispatch
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import Dispatcher
from pipeline.broker.queues import REACHABILITY, REACHABILITY_BULK
from pipeline.limits.rate_buckets import create_redis_client

AWAY = "redis+socket:///tmp/nobody-is-here?virtual_host=0"


@pytest.fixture
def broker(broker_url: str) -> Redis:
    client: Redis = create_redis_client(broker_url)
    return client


def bell(url: str) -> Dispatcher:
    return Dispatcher(create_celery_app(load({"SLIPWAY_BROKER__URL": url}), retry_broker=False))


def test_a_check_that_nobody_tried_is_rung_once_however_many_ask(broker: Redis, broker_url: str) -> None:
    mine, check = bell(broker_url), uuid4()
    for _ in range(3):
        assert mine.send_new_checks({check: 0}), "a ring lies there"
    assert broker.llen(REACHABILITY) == 1


def test_one_that_was_tried_since_and_another_one_are_rung(broker: Redis, broker_url: str) -> None:
    mine, check = bell(broker_url), uuid4()
    mine.send_new_checks({check: 0})
    mine.send_new_checks({check: 1, uuid4(): 0})
    assert broker.llen(REACHABILITY) == 3


def test_who_cannot_wait_does_not_stand_behind_mass_work(broker: Redis, broker_url: str) -> None:
    mine, check = bell(broker_url), uuid4()
    mine.send_new_checks({check: 0}, bulk=True)
    mine.send_new_checks({check: 0})
    assert (broker.llen(REACHABILITY_BULK), broker.llen(REACHABILITY)) == (1, 1)


def test_after_a_while_it_is_rung_again(
    broker: Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "CHECK_DEDUPLICATION", 0.0)
    mine, check = bell(broker_url), uuid4()
    mine.send_new_checks({check: 0})
    mine.send_new_checks({check: 0})
    assert broker.llen(REACHABILITY) == 2


def test_a_ring_that_did_not_arrive_is_not_counted() -> None:
    mine, check = bell(AWAY), uuid4()
    assert not mine.send_new_checks({check: 0})
    assert not mine.send_new_checks({check: 0}), "nobody has heard of it"
