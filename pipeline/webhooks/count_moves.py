"""Count moves: posts, settled deliveries, attempts, lateness, expired leases, and the deliveries in each state.

Count what settled and how late it was by workspace, platform, hour and day. Log one line for each delivery that is
settled, blocked or unknown: what became of it, and of which request.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from config.logging import log_event
from pipeline.domain.delivery import SETTLED, Mover, Reason, State
from pipeline.domain.histogram import label_bucket
from pipeline.store.counters.counters import (
    DELIVERIES,
    LATENESS,
    ClosedAttempt,
    Counted,
    Increments,
    add_increments,
    list_closed_attempts,
    read_counted,
    save_counted,
)
from pipeline.store.moves import MoveFacts
from pipeline.store.rollups.settled_counts import (
    ALL_WORKSPACES,
    KEPT,
    Span,
    add_settled,
    find_start,
)
from pipeline.store.rollups.settled_counts import (
    LATENESS as LATENESS_KIND,
)

log = logging.getLogger("slipway.deliveries")

LEVELS = {
    State.PUBLISHED: logging.INFO,
    State.CANCELLED: logging.INFO,
    State.FAILED: logging.WARNING,
    State.BLOCKED: logging.WARNING,
    State.UNKNOWN: logging.WARNING,
}
"""The states that are logged. Of others, the history of a delivery tells (`slipway delivery show`)."""
LONGEST_AGO = timedelta(hours=1)
"""Older moves are not logged: an upgrade counts all moves there ever were."""


def log_moves(_: Connection, moves: Sequence[MoveFacts]) -> None:
    """Log the moves of a batch, with ids and classes only: no text of a customer or of a platform, and no URL.

    Moves that are exported once more, because the process died before it stored its position, are logged once more.
    """
    for m in moves:
        level = LEVELS.get(State(m.target))
        if level is None or not m.changes_state or m.read_at - m.at > LONGEST_AGO:
            continue
        log_event(log, level, "delivery", _to_fields(m))


def _to_fields(m: MoveFacts) -> dict[str, str | int | float | None]:
    return {
        "outcome": m.target,
        "platform": m.platform,
        "reason": m.reason,
        "class": m.error_class or None,
        "code": None if m.error is None else m.error.get("code"),
        "lateness": None if m.lateness is None else round(m.lateness, 3),
        "delivery": str(m.delivery_id),
        "post": str(m.post_id),
        "account": str(m.account_id),
        "workspace": str(m.workspace_id),
        "request_id": m.request_id,
        "move": m.id,
    }


_WITH_ATTEMPT = frozenset({State.PUBLISHING, State.PREPARING, State.PROCESSING, State.UNKNOWN, State.BLOCKED})
"""States that a delivery may leave with an attempt that was closed in them."""
_KEPT = frozenset({State.ACCEPTED, State.RETRYING, State.BLOCKED, State.UNKNOWN})
"""States in which it waits for a check, its platform or an operator."""


def count_moves(c: Connection, moves: Sequence[MoveFacts]) -> None:
    """Add a batch of moves to the counters, and keep what later batches need to know."""
    if not moves:
        return
    counted = read_counted(c, {m.delivery_id for m in moves if m.origin is not None})
    closed: dict[UUID, list[ClosedAttempt]] = defaultdict(list)
    for attempt in list_closed_attempts(c, {m.delivery_id for m in moves if _may_close(m)}):
        closed[attempt.delivery_id].append(attempt)
    increments, after = fold_moves(moves, counted, closed)
    save_counted(c, {delivery: one for delivery, one in after.items() if one != counted.get(delivery)})
    add_increments(c, increments)


def _may_close(m: MoveFacts) -> bool:
    """Return True if an attempt may have been closed; one that was closed without a move is found at the next."""
    return m.origin in _WITH_ATTEMPT or m.mover in (Mover.EDIT, Mover.CANCEL)


def fold_moves(
    moves: Sequence[MoveFacts],
    counted: Mapping[UUID, Counted],
    closed: Mapping[UUID, Sequence[ClosedAttempt]],
) -> tuple[Increments, dict[UUID, Counted | None]]:
    """Return the amounts that the moves add to the counters, and the counted facts of each delivery afterwards."""
    increments = Increments()
    after: dict[UUID, Counted | None] = dict(counted)
    for m in moves:
        before = after.get(m.delivery_id)
        if not m.changes_state:
            if before is not None:  # an edit may have given it another time
                after[m.delivery_id] = replace(before, due_at=m.due_at)
            continue
        attempts = 0 if before is None else before.attempts
        for attempt in closed.get(m.delivery_id, ()):
            if attempt.n > attempts:
                attempts = attempt.n
                labels = {"platform": m.platform, "outcome": attempt.outcome}
                increments.add("slipway_attempts_total", labels)
        now = _to_counted(m, attempts)
        _count_state(increments, m, "" if before is None else before.reason, now.reason)
        _count_events(increments, m)
        after[m.delivery_id] = now if _is_kept(m, now) else None
    return increments, after


def _to_counted(m: MoveFacts, attempts: int) -> Counted:
    return Counted(
        platform=m.platform,
        state=m.target,
        reason=_find_reason(m),
        since=m.at,
        due_at=m.due_at,
        attempts=attempts,
    )


def _find_reason(m: MoveFacts) -> str:
    """Return why it is blocked, or what holds it after a worker has put it back; empty: neither, or not known."""
    if m.target == State.BLOCKED:
        return m.reason or ""
    return (m.held_for or "") if m.target == State.SCHEDULED else ""


def _is_kept(m: MoveFacts, now: Counted) -> bool:
    """Return True if later moves or gauges need it: it waits for something else than its time, or was tried."""
    if m.target == State.PUBLISHED:  # nothing moves it any more
        return False
    is_held = m.target == State.SCHEDULED and m.origin in _WITH_ATTEMPT
    return bool(now.attempts) or is_held or m.target in _KEPT


def _count_state(increments: Increments, m: MoveFacts, old_reason: str, reason: str) -> None:
    if m.origin is not None:
        increments.add(DELIVERIES, {"platform": m.platform, "state": m.origin, "reason": old_reason}, -1)
    increments.add(DELIVERIES, {"platform": m.platform, "state": m.target, "reason": reason})


def _count_events(increments: Increments, m: MoveFacts) -> None:
    if m.is_post:
        increments.add("slipway_posts_accepted_total", {"source": m.source})
    if m.target in SETTLED:
        error_class = m.error_class if m.target == State.FAILED else ""
        labels = {"platform": m.platform, "outcome": m.target, "class": error_class}
        increments.add("slipway_deliveries_settled_total", labels)
    if m.target == State.FAILED or (m.target == State.BLOCKED and m.reason == Reason.PERSON_NEEDED):
        labels = {"platform": m.platform, "class": m.error_class or ""}
        increments.add("slipway_dead_letters_added_total", labels)
    if m.mover == Mover.RESCUE:
        increments.add("slipway_lease_expiries_total", {})
    if m.counts_lateness and m.lateness is not None:
        labels = {"platform": m.platform, "le": label_bucket(m.lateness)}
        increments.add(f"{LATENESS}_bucket", labels)
        increments.add(f"{LATENESS}_sum", {"platform": m.platform}, m.lateness)


def count_settled(c: Connection, moves: Sequence[MoveFacts]) -> None:
    """Add a batch of moves to the counts of their hours and days."""
    add_settled(c, fold_settled(moves))


def fold_settled(moves: Sequence[MoveFacts]) -> Counter[Span]:
    """Return what the moves add. Spans that are not kept any more are left out."""
    return Counter(
        Span(workspace, minutes, find_start(m.at, minutes), m.platform, kind, label)
        for m in moves
        if m.changes_state
        for kind, label in _list_kinds(m)
        for minutes, kept in KEPT.items()
        if m.read_at - m.at < kept
        for workspace in (m.workspace_id, ALL_WORKSPACES)
    )


def _list_kinds(m: MoveFacts) -> Iterator[tuple[str, str]]:
    """Yield what the move counts as: the outcome with the class of its error, and the bucket of its lateness."""
    if m.target in SETTLED:
        yield m.target, m.error_class if m.target == State.FAILED else ""
    if m.counts_lateness and m.lateness is not None:
        yield LATENESS_KIND, label_bucket(m.lateness)
