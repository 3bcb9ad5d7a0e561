"""What is begun is finished before more is begun, and nobody's queue starves for it: read off a real broker."""

from __future__ import annotations

from collections import Counter

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message

from config.settings import load
from pipeline.broker import broker_options
from pipeline.queues import DELAY, GROUPS, PUBLISH, STATUS

EACH = 24
OTHERS = (*PUBLISH.values(), DELAY)


def taken(broker_url: str, number: int, *standing: str) -> list[str]:
    """The queues of the first so many messages that a consumer of the publish group takes, of EACH in these queues."""
    found: list[str] = []

    def note(message: Message) -> None:
        found.append(str(message.delivery_info["routing_key"]))
        message.ack()  # type: ignore[no-untyped-call]

    options = broker_options(load({}))
    with Connection(broker_url, transport_options=options) as line:  # type: ignore[no-untyped-call]
        for name in standing:
            with line.SimpleQueue(name) as queue:
                for _ in range(EACH):
                    queue.put({})
        channel = line.channel()
        channel.basic_qos(0, 1)
        mine = [Queue(name) for name in GROUPS["publish"]]  # type: ignore[no-untyped-call]
        with line.Consumer(mine, channel=channel, on_message=note):
            while len(found) < number:
                line.drain_events(timeout=10)
    return found


def test_half_of_what_is_taken_are_looks_and_the_others_have_equal_parts(broker_url: str) -> None:
    found = Counter(taken(broker_url, 2 * EACH, STATUS, *OTHERS))
    assert abs(found[STATUS] - EACH) <= 1
    rest = [found[queue] for queue in OTHERS]
    assert max(rest) - min(rest) <= 1


def test_where_no_look_waits_the_others_are_served_in_turn(broker_url: str) -> None:
    found = Counter(taken(broker_url, 2 * len(OTHERS), *OTHERS))
    assert set(found.values()) == {2}


def test_where_only_looks_wait_they_are_all_served(broker_url: str) -> None:
    assert taken(broker_url, EACH, STATUS) == [STATUS] * EACH
