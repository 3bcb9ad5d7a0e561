"""The doorbell: messages that carry ids and a generation, sent after commit, in batches.

A ring that fails is not retried and not an error for the caller: the row says what is due, and the sweep rings again.
An uncertain ring (the broker's answer was lost) is at worst rung twice, which does nothing.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from threading import Lock
from uuid import UUID

from celery import Celery
from kombu.exceptions import BatchPublishError, KombuError
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.queues import DELAY, PUBLISH, REACHABILITY, REACHABILITY_BULK, STATUS
from pipeline.store.release import Ring

log = logging.getLogger("slipway.dispatch")


SPREAD = 200
"""Messages that wait in a queue before two deliveries share one: with fewer, slots would stand idle."""
LOOKS_SPREAD = 2
"""The same of looks, each of which is one short read."""
HANDFUL = 10
REMEMBERED = 1000
"""Slots of which a process knows that it rang them."""


def handfuls(rings: Sequence[Ring], *, spread: int, standing: int = 0) -> Iterable[Sequence[Ring]]:
    """A message costs the worker as much as the delivery it carries; with many due, a few travel together.

    ``standing``: how many already stand in the queue, so that every slot has its work without these.
    """
    size = max(1, min(HANDFUL, (standing + len(rings)) // spread))
    return (rings[n : n + size] for n in range(0, len(rings), size))


class _Rung:
    """The slots this process rang lately."""

    def __init__(self) -> None:
        self._ends: OrderedDict[datetime, None] = OrderedDict()
        self._lock = Lock()

    def first(self, end: datetime) -> bool:
        with self._lock:
            if end in self._ends:
                return False
            self._ends[end] = None
            while len(self._ends) > REMEMBERED:
                self._ends.popitem(last=False)
            return True


class Doorbell:
    """Sends the few kinds of message there are. Every method may be called again: ringing twice does nothing."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._rung = _Rung()

    def publish(self, rings: Sequence[Ring], *, standing: int = 0) -> bool:
        """Queued deliveries, each on its platform's queue; a few in one message when very many are due.

        ``standing``: how many already stood in these queues.
        """
        by_platform: dict[str, list[Ring]] = {}
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

    def looks(self, rings: Sequence[Ring]) -> bool:
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

    def _send(self, messages: Iterable[tuple[str, str, list[object], datetime | None]]) -> bool:
        """True when the broker took them all. False is said in the log and healed by the sweep."""
        messages = list(messages)
        if not messages:
            return True
        try:
            with self._app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch():
                for task, queue, args, eta in messages:
                    self._app.send_task(
                        task, args=args, queue=queue, producer=producer, retry=False, ignore_result=True,
                        eta=None if eta is None else eta.astimezone(UTC), argsrepr=" ".join(map(str, args)),
                        kwargsrepr="",
                    )  # fmt: skip
        except (KombuError, BatchPublishError, RedisError, OSError, TimeoutError) as error:
            log.warning("the doorbell did not ring (%s); the sweep will", type(error).__name__)
            return False
        return True
