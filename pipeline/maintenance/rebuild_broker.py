"""Rebuild the broker's messages from the ledger: dispatch everything that waits for one.

Maintenance jobs do the same within seconds for every queue that is empty; this does it at once, for all queues, and
reports how much it was. Safe while everything runs, and more than once: a message for a claimed row does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.broker.queues import PUBLISH
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.delay import sweep
from pipeline.store.checks import checks as checks_store
from pipeline.store.deliveries.claim import Message
from pipeline.store.deliveries.lease import redispatch_lost, redispatch_lost_looks
from pipeline.store.health import database_now

BATCH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatched:
    """How much has been dispatched so far. ``released``: deliveries that became due during the run."""

    deliveries: int = 0
    looks: int = 0
    checks: int = 0
    released: int = 0


class BrokerUnreachable(Exception):
    """The broker did not take the messages. Nothing is lost: they are dispatched once it is back."""


def rebuild_broker(
    context: Context, *, per_second: float, on_progress: Callable[[Dispatched], None]
) -> Dispatched:
    """Dispatch queued deliveries, lost looks, undecided checks and due deliveries, at most *per_second*.

    Calls *on_progress* after every batch. Raises BrokerUnreachable.
    """
    deliveries = looks = 0
    pace, settings = BATCH / per_second, context.settings
    lease, held = (timedelta(seconds=s) for s in (settings.delay.queued_lease, settings.publish.lease))
    queued = _list_each_once(
        context, lambda c, quiet: redispatch_lost(c, BATCH, lease, empty=list(PUBLISH), quiet=quiet)
    )
    for messages in _limit_rate(queued, pace):
        _require_sent(context.dispatcher.send_deliveries(messages))
        deliveries += len(messages)
        on_progress(Dispatched(deliveries=deliveries))
    lost = _list_each_once(
        context, lambda c, quiet: redispatch_lost_looks(c, BATCH, lease, claim_lease=held, quiet=quiet)
    )
    for messages in _limit_rate(lost, pace):
        _require_sent(context.dispatcher.send_looks(messages))
        looks += len(messages)
        on_progress(Dispatched(deliveries=deliveries, looks=looks))
    with context.database.begin() as c:
        open_ones = checks_store.list_due_checks(c, 100_000)
    for n in range(0, len(open_ones), BATCH):
        _require_sent(context.dispatcher.send_checks(open_ones[n : n + BATCH]))
        time.sleep(pace)
    released = sweep(context)
    done = Dispatched(deliveries=deliveries, looks=looks, checks=len(open_ones), released=released)
    on_progress(done)
    return done


def _list_each_once(
    context: Context, some: Callable[[Connection, timedelta], list[Message]]
) -> Iterator[list[Message]]:
    """Yield batches of all rows that there were at the start, each row once: dispatching a row updates its time."""
    began = None
    while True:
        with context.database.begin() as c:
            now = database_now(c)
            began = began or now
            messages = some(c, now - began)
        if not messages:
            return
        failpoint("rebuild.found", *(message.delivery for message in messages))
        yield messages


def _limit_rate(batches: Iterator[list[Message]], pace: float) -> Iterator[list[Message]]:
    """Yield at most one full batch per *pace* seconds, so that new messages do not wait behind all of these."""
    for batch in batches:
        began = time.monotonic()
        yield batch
        if len(batch) == BATCH:
            time.sleep(max(0.0, pace - (time.monotonic() - began)))


def _require_sent(sent: bool) -> None:
    if not sent:
        raise BrokerUnreachable(
            "The broker is unreachable. Nothing is lost: everything is dispatched once it is back."
        )
