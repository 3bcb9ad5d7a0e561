"""Messages as they lie in the broker: those that this code sends, and how their shapes are compared."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import redis

from adapters.contract import Platform
from config.settings import Settings, load
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import LOOKS_BEFORE_BATCHES, MESSAGES_BEFORE_BATCHES, Dispatcher
from pipeline.broker.queues import ALL_QUEUES, list_ticks
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.store.deliveries.claim import Message

BrokerMessage = dict[str, Any]
"""``queue`` and the message in it, its body as JSON."""
SAMPLES = [UUID(int=0x01A2_0000_0000_7000_8000_0000_0000_0000 + n) for n in range(1, 8)]
"""The ids in the messages of `sent`: three deliveries to send, three to look at, a check."""


def put(client: redis.Redis, message: Mapping[str, Any]) -> None:
    """Put a message into its queue as kombu does; an expiry in the past is moved to the future."""
    raw = {name: value for name, value in message.items() if name != "queue"}
    if raw["headers"]["expires"]:
        later = datetime.now(UTC) + timedelta(minutes=15)
        raw["headers"] = {**raw["headers"], "expires": later.isoformat()}
    body = raw["body"] if isinstance(raw["body"], str) else json.dumps(raw["body"])
    client.lpush(message["queue"], json.dumps({**raw, "body": base64.b64encode(body.encode()).decode()}))


def take(client: redis.Redis) -> list[BrokerMessage]:
    """Take all messages out of the queues, oldest first."""
    found = []
    for queue in ALL_QUEUES:
        while raw := client.rpop(queue):
            message = json.loads(raw)  # type: ignore[arg-type]
            body = json.loads(base64.b64decode(message.pop("body")))
            found.append({"queue": queue, **message, "body": body})
    return found


def sent(s: Settings) -> list[BrokerMessage]:
    """Return one message of each kind that this code sends, by the dispatcher's methods; no worker may run."""
    app = create_celery_app(s)
    dispatcher, client = Dispatcher(app), create_redis_client(s.broker.url.get_secret_value())
    assert SENDERS.keys() == {
        name for name, _ in inspect.getmembers(Dispatcher, inspect.isfunction) if name.startswith("send_")
    }
    for send in SENDERS.values():
        send(dispatcher)
    found = {shape(message) + str(len(str(message["body"]))): message for message in take(client)}
    client.close()
    return list(found.values())


def shape(message: BrokerMessage) -> str:
    """Return what a task has to understand of a message; ids, numbers and times are left out."""
    headers = message["headers"]
    args, kwargs, embedded = message["body"]
    return json.dumps(
        {
            "queue": _shape(message["queue"]),
            "task": headers["task"],
            "args": _shape(args),
            "kwargs": kwargs,
            "embedded": embedded,
            "eta": headers["eta"] is not None,
            "expires": headers["expires"] is not None,
            "type": (message["content-type"], message["content-encoding"]),
        },
        sort_keys=True,
    )


def _shape(value: Any) -> Any:
    if isinstance(value, list):
        shapes = [_shape(one) for one in value]
        # a batch may hold one or several items of one shape; a tuple of facts has a fixed length
        return [one for one, _ in groupby(shapes)] if all(isinstance(one, list) for one in value) else shapes
    if isinstance(value, str):
        return next(kind for kind, fits in _KINDS.items() if fits(value))
    return type(value).__name__


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


_KINDS: Mapping[str, Callable[[str], bool]] = {
    "uuid": _is_uuid,
    "platform": lambda text: text in set(Platform),
    "publish queue": lambda text: text in {f"publish.{p}" for p in Platform},
    "queue": lambda text: text in ALL_QUEUES,
    "text": lambda _: True,
}


def _message(n: int) -> Message:
    return Message(delivery=SAMPLES[n], platform="tiktok", generation=0, fence=1)


def _send_deliveries(dispatcher: Dispatcher) -> None:
    dispatcher.send_deliveries([_message(0)])
    dispatcher.send_deliveries([_message(1), _message(2)], queued=2 * MESSAGES_BEFORE_BATCHES)


def _send_looks(dispatcher: Dispatcher) -> None:
    dispatcher.send_looks([_message(3)])
    dispatcher.send_looks([_message(4), _message(5)] * LOOKS_BEFORE_BATCHES)


def _send_slots(dispatcher: Dispatcher) -> None:
    now = datetime.now(UTC)
    dispatcher.send_slots([now + timedelta(seconds=1)])


def _send_checks(dispatcher: Dispatcher) -> None:
    dispatcher.send_checks([SAMPLES[6]])
    dispatcher.send_checks([SAMPLES[6]], bulk=True)


def _send_new_checks(dispatcher: Dispatcher) -> None:
    assert dispatcher.send_new_checks({SAMPLES[6]: 0})
    assert dispatcher.send_new_checks({SAMPLES[6]: 0}, bulk=True)


def _send_ticks(dispatcher: Dispatcher) -> None:
    assert dispatcher.send_ticks(list_ticks(load({})))


SENDERS: Mapping[str, Callable[[Dispatcher], object]] = {
    "send_deliveries": _send_deliveries,
    "send_looks": _send_looks,
    "send_slots": _send_slots,
    "send_slot_now": lambda dispatcher: dispatcher.send_slot_now(),
    "send_checks": _send_checks,
    "send_new_checks": _send_new_checks,
    "send_imports": lambda dispatcher: dispatcher.send_imports(SAMPLES[-1:]),
    "send_steering": lambda dispatcher: dispatcher.send_steering(SAMPLES[-1:]),
    "send_ticks": _send_ticks,
}
"""The dispatcher's methods, each with all the kinds of message it sends."""
