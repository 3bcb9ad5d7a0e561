"""Storing a verdict, and what is done with one that can no longer be stored because its claim was lost.

Nothing learnt is thrown away: a late result is kept with its attempt, and proof of life settles the delivery.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from adapters.contract import Published
from pipeline.context import Context
from pipeline.domain.delivery import Mover, State
from pipeline.domain.retry_policy import Verdict, of_conflict
from pipeline.failpoint import failpoint
from pipeline.store.accounts.accounts import mark_reconnect
from pipeline.store.deliveries import late_results as late
from pipeline.store.deliveries import moves as store
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.moves import Settling
from pipeline.store.deliveries.ownership import RemoteIdTaken

log = logging.getLogger("slipway.settling")


def is_plain(one: Settling) -> bool:
    """One statement stores it, and nothing has to be asked or marked first."""
    verdict = one.verdict
    return not (verdict.refresh or verdict.reconnect or store.needs_post(one.held, verdict, one.held.state))


def settle_together(context: Context, seen: Sequence[Settling]) -> list[datetime | None]:
    """Stores several plain ones with one commit; beside each its ``next_at``, or None when its claim was lost.

    Raises RemoteIdTaken, with nothing stored, when one of them is another delivery's post.
    """
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    with context.database.begin() as c:
        return store.settle_several(c, context.vault, seen, queued_lease=lease)


def settle(
    context: Context,
    held: ClaimedDelivery,
    verdict: Verdict,
    mover: Mover,
    *,
    looked: bool = False,
    absent: bool = False,
    not_before: datetime | None = None,
) -> tuple[Verdict, datetime | None]:
    """Stores a verdict. What was stored, and the delivery's ``next_at``: None when the claim was lost meanwhile.

    When the post already belongs to another delivery, a person has to tell which of the two it is.
    """
    queued_lease = timedelta(seconds=context.settings.delay.queued_lease)
    try:
        together = verdict.reconnect or store.needs_post(held, verdict, held.state)
        with context.database.begin() if together else context.database.once() as c:
            when = store.settle(
                c,
                context.vault,
                held,
                verdict,
                mover,
                origin=held.state,
                looked=looked,
                absent=absent,
                not_before=not_before,
                queued_lease=queued_lease,
            )
            if verdict.reconnect:
                fields = store.error_fields(verdict.error) or {}
                mark_reconnect(c, held.account_id, fields, held.credentials_version)
            return verdict, when
    except RemoteIdTaken:
        if verdict.published is None:
            raise
        doubtful = of_conflict(verdict.published)
    log.error("ALARM delivery %s: %s", held.id, doubtful.error)
    return settle(context, held, doubtful, mover)


def claim_was_lost(context: Context, held: ClaimedDelivery, verdict: Verdict, *, armed: bool) -> None:
    """Keeps what was learnt. ``armed``: this holder made the visible call, so its handle tells where to look."""
    failpoint("settling.lost", held.id)
    if verdict.published is not None:
        _proof(context, held, verdict.published)
    elif verdict.checkpoint is not None and armed:
        with context.database.begin() as c:
            late.keep_late_handle(c, context.vault, held, verdict.checkpoint)
    elif verdict.error is not None:
        with context.database.begin() as c:
            late.keep_late_proof(c, held, {"error": store.error_fields(verdict.error)})
    log.warning("the claim on %s was lost before %s could be stored", held.id, verdict.state)


def _proof(context: Context, held: ClaimedDelivery, live: Published) -> None:
    with context.database.begin() as c:
        proven = late.settle_by_proof(c, held, live)
    if proven.alarm:
        log.error("ALARM delivery %s: %s", held.id, proven.alarm)
    elif proven.settled:
        log.warning("delivery %s: late proof settled it as %s", held.id, State.PUBLISHED)
