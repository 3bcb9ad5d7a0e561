"""Queue priority on a real broker: looks and slot messages come first, and no queue starves."""

from __future__ import annotations

from collections import Counter

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message

from config.settings import load
from pipeline.broker.celery_app import broker_options
from pipeline.broker.queues import DELAY, PUBLISH, STATUS, WORKER_GROUPS

EACH = 24
BEGINNING = tuple(PUBLISH.values())


def consume(broker_url: str, number: int, *filled: str) -> list[str]:
    """Put EACH messages into the filled queues; return the queues of the first *number* messages a consumer takes."""
    found: list[str] = []

    def record(message: Message) -> None:
        found.append(str(message.delivery_info["routing_key"]))
        message.ack()  # type: ignore[no-untyped-call]

    options = broker_options(load({}))
    with Connection(broker_url, transport_options=options) as connection:  # type: ignore[no-untyped-call]
        for name in filled:
            with connection.SimpleQueue(name) as queue:
                for _ in range(EACH):
                    queue.put({})
        channel = connection.channel()
        channel.basic_qos(0, 1)
        mine = [Queue(name) for name in WORKER_GROUPS["publish"]]  # type: ignore[no-untyped-call]
        with connection.Consumer(mine, channel=channel, on_message=record):
            while len(found) < number:
                connection.drain_events(timeout=60)
    return found


def test_after_each_message_that_begins_something_come_a_look_and_a_doorbell(broker_url: str) -> None:
    found = Counter(consume(broker_url, 3 * EACH, STATUS, DELAY, *BEGINNING))
    assert abs(found[STATUS] - EACH) <= 1
    assert abs(found[DELAY] - EACH) <= 1
    rest = [found[queue] for queue in BEGINNING]
    assert max(rest) - min(rest) <= 1


def test_half_of_what_is_taken_are_looks_where_no_doorbell_waits(broker_url: str) -> None:
    found = Counter(consume(broker_url, 2 * EACH, STATUS, *BEGINNING))
    assert abs(found[STATUS] - EACH) <= 1


def test_where_only_looks_wait_they_are_all_served(broker_url: str) -> None:
    assert consume(broker_url, EACH, STATUS) == [STATUS] * EACH
