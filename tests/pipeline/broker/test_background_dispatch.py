"""The background dispatcher on a broker of its own: never waits, bounded, and open after a failure."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from config.settings import load
from pipeline.broker import dispatch
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import BackgroundDispatcher
from pipeline.broker.queues import DELAY, REACHABILITY
from pipeline.embedded.valkey import Valkey
from tests.broker_outages import count_messages, dead, full, hung
from tests.stack import until

TIMEOUT = 3
"""Seconds that the thread waits for a broker that hangs."""


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="slipway-test-") as folder, Valkey(Path(folder)) as running:
        yield running


@pytest.fixture
def dispatcher(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundDispatcher]:
    monkeypatch.setattr(
        dispatch, "DRAIN", 60
    )  # seconds: a busy machine may need more than a client would wait
    with valkey.client() as client:
        client.flushdb()
    app = create_celery_app(
        load({"SLIPWAY_BROKER__URL": valkey.url}), retry_broker=False, socket_timeout=TIMEOUT
    )
    made = BackgroundDispatcher(app)
    yield made
    made.close()


def send_check(dispatcher: BackgroundDispatcher) -> bool:
    return dispatcher.send_checks([uuid4()])


def test_what_waits_at_the_end_is_sent(dispatcher: BackgroundDispatcher, valkey: Valkey) -> None:
    many = dispatch.MAX_ROUND_TRIP + 5
    assert dispatcher.send_checks([uuid4() for _ in range(many)])
    dispatcher.close()
    assert count_messages(valkey, REACHABILITY) == many
    assert not send_check(dispatcher), "a closed dispatcher takes nothing more"


def test_an_equal_message_that_waits_already_is_sent_once(
    dispatcher: BackgroundDispatcher, valkey: Valkey
) -> None:
    with hung(valkey):
        assert send_check(dispatcher)
        until(lambda: not dispatcher._waiting or None, 20)  # the thread is in its call
        for _ in range(5):
            assert dispatcher.send_slot_now()
    dispatcher.close()
    assert count_messages(valkey, REACHABILITY) == 1
    assert count_messages(valkey, DELAY) == 1


def test_the_queue_is_bounded(
    dispatcher: BackgroundDispatcher, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "MAX_WAITING", 3)
    with hung(valkey):
        assert send_check(dispatcher)
        until(lambda: not dispatcher._waiting or None, 20)
        assert [send_check(dispatcher) for _ in range(4)] == [True, True, True, False]
        assert not dispatcher.send_checks([uuid4(), uuid4()]), "all of a call, or none"


@pytest.mark.parametrize("outage", [hung, dead, full])
def test_after_a_failure_nothing_is_queued_and_after_a_success_all_is(
    dispatcher: BackgroundDispatcher, valkey: Valkey, outage: object
) -> None:
    dispatcher._breaker.pause = math.inf
    check = uuid4()
    with outage(valkey):  # type: ignore[operator]
        assert dispatcher.is_responsive()
        assert dispatcher.send_new_checks({check: 0})
        until(lambda: dispatcher._breaker.is_open() or None, 30)
        assert not dispatcher.is_responsive()
        assert not send_check(dispatcher)
    dispatcher._breaker.record_success()  # as if the pause were over and the trial had succeeded
    assert dispatcher.send_new_checks({check: 0}), "a check whose message failed is sent again"
    until(lambda: count_messages(valkey, REACHABILITY) or None, 30)
    assert dispatcher.is_responsive()


def test_a_broker_that_lets_the_thread_wait_is_not_responsive(
    dispatcher: BackgroundDispatcher, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hung(valkey):
        monkeypatch.setattr(dispatch, "STALL", math.inf)
        assert send_check(dispatcher)
        assert dispatcher.is_responsive()
        until(lambda: not dispatcher._waiting or None, 20)
        monkeypatch.setattr(dispatch, "STALL", 0.0)
        assert not dispatcher.is_responsive()
