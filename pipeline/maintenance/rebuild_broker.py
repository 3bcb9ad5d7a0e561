"""Rings for everything that waits for a message, out of the ledger: what an empty or doubtful broker is filled with.

The chores do the same within seconds wherever a queue stands empty; this does it now, for all, and says how much it
was. Safe while everything runs, and twice: a message for what somebody took already does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.queues import PUBLISH
from pipeline.stages import delay
from pipeline.store.checks import checks as checks_store
from pipeline.store.deliveries.release import Message, ring_lost, ring_lost_looks
from pipeline.store.health import database_now

BATCH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatched:
    """How many messages went out so far. ``released``: what had become due meanwhile."""

    deliveries: int = 0
    looks: int = 0
    checks: int = 0
    released: int = 0


class BrokerAway(Exception):
    """The broker did not take the messages. Nothing is lost: what was not rung now is rung when it is back."""


def rebuild_broker(context: Context, *, per_second: float, told: Callable[[Dispatched], None]) -> Dispatched:
    """Rings for queued deliveries, looks that were rung, open checks and what is due, at most so many a second.

    ``told`` hears how far it is after every batch. Raises BrokerAway.
    """
    deliveries = looks = 0
    pace = BATCH / per_second
    for rings in _paced(_queued(context), pace):
        _require(context.dispatcher.publish(rings))
        deliveries += len(rings)
        told(Dispatched(deliveries=deliveries))
    for rings in _paced(_looks(context), pace):
        _require(context.dispatcher.looks(rings))
        looks += len(rings)
        told(Dispatched(deliveries=deliveries, looks=looks))
    with context.database.begin() as c:
        open_ones = checks_store.due_checks(c, 100_000)
    for n in range(0, len(open_ones), BATCH):
        _require(context.dispatcher.checks(open_ones[n : n + BATCH]))
        time.sleep(pace)
    released = delay.sweep(context)
    done = Dispatched(deliveries=deliveries, looks=looks, checks=len(open_ones), released=released)
    told(done)
    return done


def _queued(context: Context) -> Iterator[list[Message]]:
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    return _once(context, lambda c, quiet: ring_lost(c, BATCH, lease, empty=list(PUBLISH), quiet=quiet))


def _looks(context: Context) -> Iterator[list[Message]]:
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    held = timedelta(seconds=context.settings.publish.lease)
    return _once(context, lambda c, quiet: ring_lost_looks(c, BATCH, lease, held=held, quiet=quiet))


def _once(
    context: Context, some: Callable[[Connection, timedelta], list[Message]]
) -> Iterator[list[Message]]:
    """All there were when this began, each once: what was rung since was touched after that moment."""
    began = None
    while True:
        with context.database.begin() as c:
            now = database_now(c)
            began = began or now
            rings = some(c, now - began)
        if not rings:
            return
        failpoint("rebuild.found", *(ring.delivery for ring in rings))
        yield rings


def _paced(batches: Iterator[list[Message]], pace: float) -> Iterator[list[Message]]:
    """Never two full batches within ``pace`` seconds: those who work now are not to stand behind all of it."""
    for batch in batches:
        began = time.monotonic()
        yield batch
        if len(batch) == BATCH:
            time.sleep(max(0.0, pace - (time.monotonic() - began)))


def _require(took: bool) -> None:
    if not took:
        raise BrokerAway("The broker does not answer. Nothing is lost: it is rung when it is back.")
