"""Dispatch: send the messages that make workers act, after commit and in batches.

A message carries ids and a generation, never content. A failed dispatch is neither retried nor an error for the caller:
the row says what is due, and the next sweep dispatches it again. If the broker's answer is lost, the message may be
sent twice; the second delivery of it changes nothing.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from celery import Celery
from kombu.exceptions import BatchPublishError, KombuError
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.broker.queues import DELAY, IMPORTS, PUBLISH, REACHABILITY, REACHABILITY_BULK, STATUS
from pipeline.broker.ticks import TICK_EXPIRES, Tick
from pipeline.store.deliveries.claim import Message

log = logging.getLogger("slipway.dispatch")

MESSAGES_BEFORE_BATCHES = 200
"""Messages in a queue before several deliveries share one; with fewer, worker slots would stand idle."""
LOOKS_BEFORE_BATCHES = 2
"""The same for looks, each of which is one short read."""
MAX_BATCH = 10
"""Deliveries in one message."""
MAX_REMEMBERED = 1000
"""Slots, and checks, that a process remembers having dispatched."""
CHECK_DEDUPLICATION = 5.0
"""Seconds in which an untried check is not dispatched again; maintenance dispatches lost ones as often."""


def split_into_batches(
    messages: Sequence[Message], *, spread: int, queued: int = 0
) -> Iterable[Sequence[Message]]:
    """Split into batches of up to ``MAX_BATCH``, one broker message each: the more are due, the larger.

    A message costs a worker as much as the delivery in it. *spread*: messages that keep every worker slot busy.
    *queued*: deliveries that already wait in the queue.
    """
    size = max(1, min(MAX_BATCH, (queued + len(messages)) // spread))
    return (messages[n : n + size] for n in range(0, len(messages), size))


class BrokerMessage(NamedTuple):
    """One message as the broker gets it. ``eta`` None: to be received at once."""

    task: str
    queue: str
    args: list[object]
    eta: datetime | None = None
    expires: int | None = None
    """Seconds after which a worker drops it."""


class _RecentKeys:
    """The keys this process dispatched in the last ``within`` seconds, at most ``MAX_REMEMBERED``. Thread-safe."""

    def __init__(self, within: float = math.inf) -> None:
        self._within = within
        self._added_at: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = Lock()

    def add(self, key: Hashable) -> bool:
        """Add a key. Return False if it was added within the time already."""
        now = time.monotonic()
        with self._lock:
            if self._added_at.get(key, -math.inf) > now - self._within:
                return False
            self._added_at[key] = now
            while len(self._added_at) > MAX_REMEMBERED:
                self._added_at.popitem(last=False)
            return True

    def discard(self, keys: Iterable[Hashable]) -> None:
        """Forget keys whose message did not reach the broker."""
        with self._lock:
            for key in keys:
                self._added_at.pop(key, None)

    def clear(self) -> None:
        """Forget all keys."""
        with self._lock:
            self._added_at.clear()


class Dispatcher:
    """Sends every kind of message there is. Each method returns False if the broker did not take all of its messages.

    Sending a message twice changes nothing: whatever receives it claims its row first.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._slots = _RecentKeys()
        self._checks = _RecentKeys(CHECK_DEDUPLICATION)

    def is_responsive(self) -> bool:
        """Return True if the broker takes messages: here always, because sending waits for it."""
        return True

    def close(self) -> None:
        """Send what waits to be sent: here nothing does."""

    def send_deliveries(self, messages: Sequence[Message], *, queued: int = 0) -> bool:
        """Send queued deliveries to their platforms' queues, several in one message if very many are due.

        *queued*: deliveries that already wait in these queues.
        """
        by_platform: dict[str, list[Message]] = {}
        for message in messages:
            by_platform.setdefault(message.platform, []).append(message)
        return self._send(
            BrokerMessage(
                "publish.step",
                PUBLISH[Platform(platform)],
                [platform, [[str(one.delivery), one.generation] for one in batch]],
            )
            for platform, mine in by_platform.items()
            for batch in split_into_batches(mine, spread=MESSAGES_BEFORE_BATCHES, queued=queued)
        )

    def send_looks(self, messages: Sequence[Message]) -> bool:
        """Send deliveries to the status queue, to be looked at."""
        return self._send(
            BrokerMessage(
                "status.look", STATUS, [[[str(one.delivery), one.generation, one.fence] for one in batch]]
            )
            for batch in split_into_batches(messages, spread=LOOKS_BEFORE_BATCHES)
        )

    def send_slots(self, ends: Sequence[datetime]) -> bool:
        """Send one message per slot of time, with the slot's end as ETA; a future slot once per process."""
        now = datetime.now(UTC)
        new = [end for end in ends if end <= now or self._slots.add(end)]  # a past slot may be needed again
        return self._send(BrokerMessage("delay.slot", DELAY, [], end) for end in new)

    def send_slot_now(self) -> bool:
        """Send a message for deliveries that are due at once."""
        return self._send([BrokerMessage("delay.slot", DELAY, [])])

    def send_checks(self, ids: Sequence[UUID], *, bulk: bool = False) -> bool:
        """Send one message per URL to check."""
        queue = REACHABILITY_BULK if bulk else REACHABILITY
        return self._send(BrokerMessage("reachability.check", queue, [str(i)]) for i in ids)

    def send_new_checks(self, tries: Mapping[UUID, int], *, bulk: bool = False) -> bool:
        """Send the checks that requests wait for, unless this process sent them at the same number of tries.

        Many requests may wait for one URL. A message that is lost while they wait is dispatched again by maintenance.
        """
        new = [
            (check, count, bulk) for check, count in tries.items() if self._checks.add((check, count, bulk))
        ]
        sent = self.send_checks([check for check, *_ in new], bulk=bulk)
        if not sent:
            self._checks.discard(new)
        return sent

    def send_imports(self, ids: Sequence[UUID]) -> bool:
        """Send the next step of each import."""
        return self._send(BrokerMessage("imports.step", IMPORTS, [str(i)]) for i in ids)

    def send_steering(self, ids: Sequence[UUID]) -> bool:
        """Send the next step of each steering job."""
        return self._send(BrokerMessage("steering.step", IMPORTS, [str(i)]) for i in ids)

    def send_ticks(self, ticks: Sequence[Tick]) -> bool:
        """Send periodic tasks."""
        return self._send(
            BrokerMessage(tick.task, tick.queue, list(tick.args), expires=TICK_EXPIRES) for tick in ticks
        )

    def _send(self, messages: Iterable[BrokerMessage]) -> bool:
        """Send the messages in one round trip. A failure is logged; the sweep makes up for it."""
        messages = list(messages)
        if not messages:
            return True
        try:
            with self._app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch():
                for task, queue, args, eta, expires in messages:
                    self._app.send_task(
                        task,
                        args=args,
                        queue=queue,
                        producer=producer,
                        retry=False,
                        ignore_result=True,
                        eta=None if eta is None else eta.astimezone(UTC),
                        expires=expires,
                        argsrepr=" ".join(map(str, args)),
                        kwargsrepr="",
                    )
        except (KombuError, BatchPublishError, RedisError, OSError, TimeoutError) as error:
            log.warning("dispatch failed (%s); the next sweep retries it", type(error).__name__)
            return False
        return True
