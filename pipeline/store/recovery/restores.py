"""Restores: find the deliveries that may have been sent between a backup and its restore, and mark them unknown.

The lock order is the same as everywhere: the epoch, then posts, then their deliveries, each in id order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, State, require_move
from pipeline.store.database import insert, jsonb, read_all, row, rows
from pipeline.store.posts.options import OWN_CAPTION

CHUNK = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The unresolved time. ``since`` None: from the beginning."""

    since: datetime | None
    until: datetime
    forward: Collection[UUID] = frozenset()
    """Deliveries that were brought forward in that time."""
    taken_since: bool = True
    """Include due deliveries of posts accepted since the restore, which may repeat a lost post."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubtful:
    """An unresolved delivery. ``origin``: its state in the backup; ``state``: its state now."""

    id: UUID
    post_id: UUID
    workspace: str
    platform: str
    username: str
    due_at: datetime
    why: str
    origin: str
    state: str
    reason: str | None
    url: str | None
    error: Mapping[str, Any] | None
    """The error that its platform returned, with the candidates that it shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restore:
    """A restore that an operator accepted."""

    epoch: UUID
    accepted_at: datetime
    why: str
    since: datetime | None
    until: datetime | None
    note: str | None


_WHY = """CASE WHEN d.id = ANY(CAST(:forward AS uuid[])) THEN 'brought forward since the backup'
               WHEN d.created_at > :until THEN 'taken since the restore'
               WHEN d.armed_at IS NOT NULL THEN 'sent before the backup, outcome open'
               ELSE 'due in the time in doubt' END"""
_NEVER_SENT = """d.state = 'blocked' AND d.reason = 'person_needed' AND d.armed_at IS NULL
    AND CAST(:since AS timestamptz) IS NOT NULL"""
"""Condition: a dead letter that was not armed before the backup, and not resumed since: that would be recorded."""
_IN_DOUBT = f"""d.state <> 'published' AND (d.id = ANY(CAST(:forward AS uuid[])) OR (
    d.state NOT IN ('failed', 'cancelled') AND ({_NEVER_SENT}) IS NOT TRUE AND (
        d.due_at <= :until OR d.armed_at IS NOT NULL
        OR (:taken_since AND d.created_at > :until AND d.due_at <= now()))))"""
_FACTS = """d.id, d.post_id, w.name AS workspace, d.platform, a.username, d.due_at, d.state, d.reason, d.url, d.error
FROM deliveries d JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id"""


def find_doubtful(c: Connection, span: Span, limit: int | None = None) -> list[Doubtful]:
    """Return the deliveries that may have been sent, by their state in the backup; earliest due first."""
    return read_all(
        c,
        Doubtful,
        f"""SELECT {_WHY} AS why, d.state AS origin, {_FACTS}
            WHERE {_IN_DOUBT} ORDER BY d.due_at, d.id LIMIT :n""",
        **_to_values(span),
        n=limit,
    )


def count_doubtful(c: Connection, span: Span) -> dict[tuple[str, str], int]:
    """Count them by platform and reason."""
    found = rows(
        c,
        f"""SELECT d.platform, {_WHY} AS why, count(*) AS n FROM deliveries d
            WHERE {_IN_DOUBT} GROUP BY 1, 2 ORDER BY 1, 2""",
        **_to_values(span),
    )
    return {(r.platform, r.why): r.n for r in found}


_MARK_UNKNOWN = """
WITH d AS (
    UPDATE deliveries x SET
        state = 'unknown', reason = NULL, held_for = NULL, in_doubt = true,
        generation = x.generation + 1, fence = x.fence + 1,
        armed_at = least(now(), coalesce(x.armed_at, CASE
            WHEN x.id = ANY(CAST(:forward AS uuid[])) OR x.created_at > CAST(:since AS timestamptz)
            THEN coalesce(CAST(:since AS timestamptz), x.created_at)
            ELSE greatest(CAST(:since AS timestamptz), x.due_at) END)),
        armed_deadline = :deadline, lease_until = NULL, next_at = now(), working_since = now(), absent_at = NULL,
        looks = 0, error = CAST(:error AS jsonb), updated_at = now()
    FROM unnest(CAST(:ids AS uuid[]), CAST(:origins AS text[])) AS o (id, origin)
    WHERE x.id = o.id AND x.state = o.origin
    RETURNING x.id, x.account_id, x.is_comment, x.generation, x.fence, x.armed_at, o.origin
), still_open AS (
    UPDATE attempts SET armed_at = coalesce(attempts.armed_at, d.armed_at), generation = d.generation, fence = d.fence
    FROM d WHERE delivery_id = d.id AND closed_at IS NULL RETURNING delivery_id
), attempt AS (
    INSERT INTO attempts (delivery_id, account_id, n, generation, fence, armed_at)
    SELECT d.id, CASE WHEN NOT d.is_comment THEN d.account_id END,
           1 + (SELECT count(*) FROM attempts y WHERE y.delivery_id = d.id), d.generation, d.fence,
           d.armed_at
    FROM d WHERE NOT EXISTS (SELECT FROM attempts y WHERE y.delivery_id = d.id AND y.closed_at IS NULL)
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, 'restore', origin, 'unknown', generation, fence, :why FROM d
)
SELECT id FROM d
"""


_FIND_TWINS = f"""
UPDATE doubted SET twin = true FROM (
    SELECT x.delivery_id, count(*) OVER (PARTITION BY d.account_id, {OWN_CAPTION}) AS n
    FROM doubted x JOIN deliveries d ON d.id = x.delivery_id JOIN posts p ON p.id = d.post_id WHERE x.epoch = :epoch) t
WHERE doubted.epoch = :epoch AND doubted.delivery_id = t.delivery_id AND t.n > 1 RETURNING doubted.delivery_id
"""


def mark_unknown(
    c: Connection,
    found: Sequence[Doubtful],
    span: Span,
    epoch: UUID,
    *,
    deadline: datetime,
    error: Mapping[str, Any] | None,
    why: str,
) -> None:
    """Move the found deliveries to unknown. Raises LookupError when one has changed its state since.

    ``deadline``: until when a worker of before the restore may still send.
    """
    ordered = sorted(found, key=lambda one: (one.post_id, one.id))
    for n in range(0, len(ordered), CHUNK):
        some = ordered[n : n + CHUNK]
        for one in some:
            require_move(State(one.state), Mover.RESTORE, State.UNKNOWN)
        ids, posts = [one.id for one in some], sorted({one.post_id for one in some})
        rows(c, "SELECT id FROM posts WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE", ids=posts)
        rows(
            c,
            "SELECT id FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE",
            ids=ids,
        )
        marked = rows(
            c,
            _MARK_UNKNOWN,
            ids=ids,
            origins=[one.state for one in some],
            since=span.since,
            forward=list(span.forward),
            deadline=deadline,
            error=jsonb(error),
            why=why,
        )
        if len(marked) < len(some):
            raise LookupError("Deliveries moved while they were listed. Run the command again.")
        _record_doubted(c, epoch, some)
        # an unknown delivery makes its post pending, the most urgent status
        row(
            c,
            """UPDATE posts SET status = 'pending', updated_at = now()
               WHERE id = ANY(CAST(:ids AS uuid[])) AND status <> 'pending'
                 AND EXISTS (SELECT FROM post_deliveries d WHERE d.post_id = posts.id AND d.state = 'unknown')
               RETURNING id""",
            ids=posts,
        )
    row(c, _FIND_TWINS, epoch=epoch)


def _record_doubted(c: Connection, epoch: UUID, some: Sequence[Doubtful]) -> None:
    row(
        c,
        """INSERT INTO doubted (epoch, delivery_id, origin, why)
           SELECT :epoch, * FROM unnest(CAST(:ids AS uuid[]), CAST(:origins AS text[]), CAST(:whys AS text[]))
           RETURNING epoch""",
        epoch=epoch,
        ids=[one.id for one in some],
        origins=[one.origin for one in some],
        whys=[one.why for one in some],
    )


def record_restore(c: Connection, epoch: UUID, why: str, span: Span | None, note: str | None) -> None:
    """Record that an operator accepted a restore. ``span`` None: they declared that nothing was sent."""
    since, until = (span.since, span.until) if span else (None, None)
    insert(c, "restores", epoch=epoch, why=why, since=since, until=until, note=note)


def find_last(c: Connection) -> Restore | None:
    """Return the latest accepted restore, or None."""
    found = row(
        c,
        "SELECT epoch, accepted_at, why, since, until, note FROM restores ORDER BY accepted_at DESC LIMIT 1",
    )
    return None if found is None else Restore(**found._mapping)


def list_accepted(
    c: Connection, epoch: UUID, limit: int | None = None, *, waiting: bool = False
) -> list[Doubtful]:
    """Return the deliveries of an accepted restore. ``waiting``: only ones that wait for proof or an operator."""
    return read_all(
        c,
        Doubtful,
        f"""SELECT x.why, x.origin, {_FACTS} JOIN doubted x ON x.delivery_id = d.id
            WHERE x.epoch = :epoch AND (NOT :waiting OR (d.in_doubt AND d.state IN ('blocked', 'unknown')))
            ORDER BY d.due_at, d.id LIMIT :n""",
        epoch=epoch,
        n=limit,
        waiting=waiting,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryDoubt:
    """The time that the restores of a delivery made unresolved. ``since`` None: everything from the beginning."""

    since: datetime | None
    is_twin: bool
    """Another unresolved delivery has the same caption and account."""


def find_doubt(c: Connection, delivery: UUID) -> DeliveryDoubt:
    """Return the doubt about a delivery; several restores count as one that begins with the earliest."""
    found = row(
        c,
        """SELECT min(r.since) AS since, bool_or(r.since IS NULL) AS from_beginning, bool_or(x.twin) AS twin
           FROM doubted x JOIN restores r ON r.epoch = x.epoch WHERE x.delivery_id = :id""",
        id=delivery,
    )
    if found is None or found.twin is None:
        raise LookupError(f"No restore has left delivery {delivery} unresolved.")
    return DeliveryDoubt(since=None if found.from_beginning else found.since, is_twin=found.twin)


def _to_values(span: Span) -> dict[str, Any]:
    return {
        "since": span.since,
        "until": span.until,
        "forward": list(span.forward),
        "taken_since": span.taken_since,
    }
