"""Dispatch: send the messages that make workers act, after commit and in batches.

A message carries ids and a generation, never content. A failed dispatch is neither retried nor an error for the caller:
the row says that work is due, and the next sweep dispatches it again. If the broker's answer is lost, the message may
be sent twice; the second delivery of it changes nothing.

Where a request waits, a thread of its own dispatches: messages wait in a bounded queue in memory. A message that does
not fit, fails, or dies with the process is sent again by maintenance: of a due delivery by the next sweep, of a check
by the job that dispatches checks again.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from threading import Condition, Lock, Thread
from typing import NamedTuple
from uuid import UUID

from celery import Celery
from kombu.exceptions import BatchPublishError, KombuError
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.broker.queues import (
    DELAY,
    IMPORTS,
    PUBLISH,
    REACHABILITY,
    REACHABILITY_BULK,
    STATUS,
    TICK_EXPIRES,
    Tick,
)
from pipeline.limits.rate_buckets import CircuitBreaker
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
        """Send the waiting messages: here there are none."""

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


MAX_WAITING = 10_000
"""Messages that wait for the thread: a second's worth under a load that no process reaches."""
MAX_ROUND_TRIP = 500
"""Messages that are sent together."""
STALL = 0.2
"""Seconds after which a broker that has not taken the messages counts as unresponsive."""
DRAIN = 2.0
"""Seconds in which a process that ends sends the waiting messages."""


class BackgroundDispatcher(Dispatcher):
    """A dispatcher whose methods return at once; True stands for "queued", not for "sent".

    A message that waits already is not queued again: whatever receives it reads the database after both commits.
    """

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self._breaker = CircuitBreaker()
        self._waiting: dict[str, BrokerMessage] = {}
        self._changed = Condition()
        self._is_closed = False
        self._sending_since: float | None = None
        self._dropped = 0
        self._thread = Thread(target=self._run, name="dispatch", daemon=True)
        self._thread.start()

    def is_responsive(self) -> bool:
        """Return True if the broker takes messages: not after a failure, nor while it lets the thread wait."""
        since = self._sending_since
        return not self._breaker.is_open() and (since is None or time.monotonic() - since < STALL)

    def close(self) -> None:
        """Refuse new messages, and send the waiting ones for up to ``DRAIN`` seconds."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(DRAIN)
        if lost := len(self._waiting):
            log.warning(
                "%s messages were not dispatched before the end; the next sweep makes up for them", lost
            )

    def _send(self, messages: Iterable[BrokerMessage]) -> bool:
        """Queue the messages. Return False, and queue none, if they do not fit or the circuit is open."""
        new = {repr(message): message for message in messages}
        if not new:
            return True
        with self._changed:
            fits = len(self._waiting) + len(new) <= MAX_WAITING
            if self._is_closed or not fits or not self._breaker.may_call():
                self._dropped += len(new)
                return False
            self._waiting.update(new)
            self._changed.notify()
        return True

    def _run(self) -> None:
        while batch := self._take_batch():
            if self._send_batch(batch):
                self._breaker.record_success()
                self._report_recovery()
            else:
                self._breaker.record_failure()
                self._forget_waiting(len(batch))

    def _take_batch(self) -> list[BrokerMessage]:
        """Wait for messages and return a batch of them; an empty one once the dispatcher is closed and empty."""
        with self._changed:
            self._sending_since = None
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            keys = list(islice(self._waiting, MAX_ROUND_TRIP))
            batch = [self._waiting.pop(key) for key in keys]
            self._sending_since = time.monotonic() if batch else None
        return batch

    def _send_batch(self, batch: list[BrokerMessage]) -> bool:
        try:
            return super()._send(batch)
        except Exception:  # the thread has to go on: without it, every message would wait for the sweep
            log.exception("unexpected error in dispatch")
            return False

    def _forget_waiting(self, failed: int) -> None:
        """Drop the waiting messages: the sweep is faster than a broker that has to come back first."""
        with self._changed:
            self._dropped += failed + len(self._waiting)
            self._waiting.clear()
        self._checks.clear()

    def _report_recovery(self) -> None:
        with self._changed:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning("the broker takes messages again; %s were left to the sweep until then", dropped)
