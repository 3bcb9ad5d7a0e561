"""The doorbell: messages that carry ids and a generation, sent after commit, in batches.

A ring that fails is not retried and not an error for the caller: the row says what is due, and the sweep rings again.
An uncertain ring (the broker's answer was lost) is at worst rung twice, which does nothing.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from uuid import UUID

from celery import Celery
from kombu.exceptions import BatchPublishError, KombuError
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.queues import DELAY, PUBLISH, REACHABILITY, REACHABILITY_BULK, STATUS
from pipeline.store.deliveries.release import Message

log = logging.getLogger("slipway.dispatch")


SPREAD = 200
"""Messages that wait in a queue before two deliveries share one: with fewer, slots would stand idle."""
LOOKS_SPREAD = 2
"""The same of looks, each of which is one short read."""
HANDFUL = 10
REMEMBERED = 1000
"""Slots, and checks, of which a process knows that it rang them."""
ASKED = 5.0
"""Seconds in which a check that nobody has tried since is not rung again: the net under lost rings is cast as often."""


def handfuls(rings: Sequence[Message], *, spread: int, standing: int = 0) -> Iterable[Sequence[Message]]:
    """A message costs the worker as much as the delivery it carries; with many due, a few travel together.

    ``standing``: how many already stand in the queue, so that every slot has its work without these.
    """
    size = max(1, min(HANDFUL, (standing + len(rings)) // spread))
    return (rings[n : n + size] for n in range(0, len(rings), size))


class _Recent:
    """What this process rang for in the last ``within`` seconds."""

    def __init__(self, within: float = math.inf) -> None:
        self._within = within
        self._rung: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = Lock()

    def first(self, what: Hashable) -> bool:
        """Whether it is new; from now on it is not."""
        now = time.monotonic()
        with self._lock:
            if self._rung.get(what, -math.inf) > now - self._within:
                return False
            self._rung[what] = now
            while len(self._rung) > REMEMBERED:
                self._rung.popitem(last=False)
            return True

    def forget(self, what: Iterable[Hashable]) -> None:
        """That ring did not arrive."""
        with self._lock:
            for one in what:
                self._rung.pop(one, None)


class Dispatcher:
    """Sends the few kinds of message there are. Every method may be called again: ringing twice does nothing."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._rung = _Recent()
        self._asked = _Recent(ASKED)

    def publish(self, rings: Sequence[Message], *, standing: int = 0) -> bool:
        """Queued deliveries, each on its platform's queue; a few in one message when very many are due.

        ``standing``: how many already stood in these queues.
        """
        by_platform: dict[str, list[Message]] = {}
        for ring in rings:
            by_platform.setdefault(ring.platform, []).append(ring)
        return self._send(
            (
                "publish.step",
                PUBLISH[Platform(platform)],
                [platform, [[str(r.delivery), r.generation] for r in few]],
                None,
            )
            for platform, mine in by_platform.items()
            for few in handfuls(mine, spread=SPREAD, standing=standing)
        )

    def looks(self, rings: Sequence[Message]) -> bool:
        """Deliveries to be looked at."""
        return self._send(
            ("status.look", STATUS, [[[str(r.delivery), r.generation, r.fence] for r in few]], None)
            for few in handfuls(rings, spread=LOOKS_SPREAD)
        )

    def slots(self, ends: Sequence[datetime]) -> bool:
        """One doorbell per slot of time, held by the broker until the slot ends; rung once by this process."""
        now = datetime.now(UTC)
        new = [end for end in ends if end <= now or self._rung.first(end)]  # one that has fired rings again
        return self._send(("delay.slot", DELAY, [], end) for end in new)

    def now(self) -> bool:
        """Something is due at once."""
        return self._send([("delay.slot", DELAY, [], None)])

    def checks(self, ids: Sequence[UUID], *, bulk: bool = False) -> bool:
        """One message per URL to check."""
        queue = REACHABILITY_BULK if bulk else REACHABILITY
        return self._send(("reachability.check", queue, [str(i)], None) for i in ids)

    def checks_once(self, tried: Mapping[UUID, int], *, bulk: bool = False) -> bool:
        """Rings for checks that requests wait for, ``tried`` so often: not again for what nobody tried since.

        Many requests may wait for one URL. What was lost meanwhile is rung by upkeep, as ever.
        """
        new = [
            (check, tries, bulk) for check, tries in tried.items() if self._asked.first((check, tries, bulk))
        ]
        rang = self.checks([check for check, *_ in new], bulk=bulk)
        if not rang:
            self._asked.forget(new)
        return rang

    def _send(self, messages: Iterable[tuple[str, str, list[object], datetime | None]]) -> bool:
        """True when the broker took them all. False is said in the log and healed by the sweep."""
        messages = list(messages)
        if not messages:
            return True
        try:
            with self._app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch():
                for task, queue, args, eta in messages:
                    self._app.send_task(
                        task,
                        args=args,
                        queue=queue,
                        producer=producer,
                        retry=False,
                        ignore_result=True,
                        eta=None if eta is None else eta.astimezone(UTC),
                        argsrepr=" ".join(map(str, args)),
                        kwargsrepr="",
                    )
        except (KombuError, BatchPublishError, RedisError, OSError, TimeoutError) as error:
            log.warning("the doorbell did not ring (%s); the sweep will", type(error).__name__)
            return False
        return True
