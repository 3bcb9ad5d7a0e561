"""Events of webhooks: a lane for each post, in which one event is sent after the other.

Only the first pending event of a lane has a ``next_at``, and a unique index keeps it so. Whatever adds an event to a
lane that may exist, or takes one out of it, holds the lock of the webhook's row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.webhook import EventState
from pipeline.store.arrays import Records
from pipeline.store.database import execute, has_row, read_all, row, rows
from pipeline.store.selection import among, where, where_given
from pipeline.store.webhooks.webhooks import LISTENING, Webhook, list_chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event for one webhook. ``lane``: the id of the post, or of what else it is about."""

    webhook_id: UUID
    id: UUID
    lane: UUID
    type: str
    at: datetime
    data: Mapping[str, Any]

    @property
    def body(self) -> str:
        """The payload as it is sent: ``type``, ``timestamp`` and ``data``."""
        payload = {"type": self.type, "timestamp": self.at, "data": self.data}
        return json.dumps(payload, default=_to_text, ensure_ascii=False, separators=(",", ":"))


def _to_text(value: Any) -> str:
    """Return an id as text, and a time in UTC with milliseconds and Z, as the API does."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event as its webhook's owner sees it. ``attempts``: at most ten, the newest first."""

    id: UUID
    n: int
    type: str
    body: str
    state: EventState
    tries: int
    next_at: datetime | None
    created_at: datetime
    attempts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The events to send again: these, or the events of a span that are not pending. ``after``: number of an event."""

    ids: list[UUID] | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: EventState | None = None
    after: int | None = None


def list_listeners(c: Connection, workspaces: Collection[UUID], *, lock: bool) -> list[Webhook]:
    """Return the webhooks of these workspaces; with *lock*, no sender takes an event out of a lane concurrently."""
    chosen = among("workspace_id", workspaces) & LISTENING
    return list_chosen(c, chosen, by="id", lock="FOR SHARE" if lock else "")


def has_webhooks(c: Connection) -> bool:
    """Return True if there is any webhook at all."""
    return has_row(c, "SELECT id FROM webhooks WHERE deleted_at IS NULL LIMIT 1")


_NEW = Records("webhook_id uuid, id uuid, lane uuid, type text, body text, is_first boolean")


def insert_events(c: Connection, events: Sequence[NewEvent]) -> None:
    """Store events in this order. The first of a lane without a pending one is due at once."""
    if not events:
        return
    firsts = {(e.webhook_id, e.lane): n for n, e in reversed([*enumerate(events)])}
    execute(
        c,
        f"""INSERT INTO webhook_events (webhook_id, id, lane, type, body, next_at)
            SELECT webhook_id, id, lane, type, body, CASE WHEN is_first AND NOT EXISTS (
                       SELECT FROM webhook_events p
                       WHERE p.webhook_id = x.webhook_id AND p.lane = x.lane AND p.state = 'pending') THEN now() END
            FROM {_NEW.number("nth")} ORDER BY nth""",
        **_NEW.bind(
            (e.webhook_id, e.id, e.lane, e.type, e.body, firsts[e.webhook_id, e.lane] == n)
            for n, e in enumerate(events)
        ),
    )


def promote(c: Connection, webhook: UUID, lanes: Iterable[UUID]) -> None:
    """Make the first pending event of each of these lanes due, where none is. The webhook is locked."""
    execute(
        c,
        """UPDATE webhook_events e SET next_at = now() FROM (
               SELECT DISTINCT ON (lane) id FROM webhook_events p
               WHERE webhook_id = :w AND lane = ANY(CAST(:lanes AS uuid[])) AND state = 'pending'
                 AND NOT EXISTS (SELECT FROM webhook_events f WHERE f.webhook_id = :w AND f.lane = p.lane
                                                                AND f.next_at IS NOT NULL)
               ORDER BY lane, n) first
           WHERE e.webhook_id = :w AND e.id = first.id""",
        w=webhook,
        lanes=list(set(lanes)),
    )


_EVENTS = """
SELECT e.id, e.n, e.type, e.body, e.state, e.tries, e.next_at, e.created_at, coalesce(t.attempts, '[]') AS attempts
FROM webhook_events e LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('n', a.n, 'at', a.at, 'ended_at', a.ended_at, 'outcome', a.outcome,
               'status', a.status, 'error', a.error, 'answer', a.answer) ORDER BY a.n DESC) AS attempts
    FROM (SELECT * FROM webhook_attempts a WHERE a.webhook_id = e.webhook_id AND a.event_id = e.id
          ORDER BY a.n DESC LIMIT 10) a) t ON true
"""


def list_events(
    c: Connection,
    webhook: UUID,
    *,
    limit: int,
    before: int | None = None,
    state: EventState | None = None,
    kind: str | None = None,
    identity: UUID | None = None,
) -> list[StoredEvent]:
    """Return a page of a webhook's events with their tries, newest first; *before*: the last one of the page before."""
    asked = where_given(
        {
            "before": "e.n < :before",
            "state": "e.state = :state",
            "kind": "e.type = :kind",
            "id": "e.id = :id",
        },
        before=before,
        state=state,
        kind=kind,
        id=identity,
    )
    chosen = where("e.webhook_id = :w", w=webhook) & asked
    sql = f"{_EVENTS} WHERE {chosen} ORDER BY e.n DESC LIMIT :limit"
    return read_all(c, StoredEvent, sql, **chosen.values, limit=limit)


def replay_events(c: Connection, webhook: UUID, chosen: Replay, limit: int) -> tuple[int, int | None]:
    """Make events of a locked webhook pending again, with all their tries; of a span, the ones that are not pending.

    Return how many, and the number of the last one if there may be more. Each lane begins with its oldest event again.
    """
    found = rows(
        c,
        """WITH chosen AS (
               SELECT id FROM webhook_events
               WHERE webhook_id = :w AND (CAST(:ids AS uuid[]) IS NULL OR id = ANY(CAST(:ids AS uuid[])))
                 AND (CAST(:ids AS uuid[]) IS NOT NULL OR state <> 'pending')
                 AND (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
                 AND (CAST(:until AS timestamptz) IS NULL OR created_at < :until)
                 AND (CAST(:state AS text) IS NULL OR state = :state)
                 AND (CAST(:after AS bigint) IS NULL OR n > :after)
               ORDER BY n LIMIT :limit)
           UPDATE webhook_events e SET state = 'pending', tries = 0, next_at = NULL FROM chosen
           WHERE e.webhook_id = :w AND e.id = chosen.id RETURNING e.n, e.lane""",
        w=webhook,
        limit=limit,
        **asdict(chosen),
    )
    lanes = {r.lane for r in found}
    sql = """UPDATE webhook_events SET next_at = NULL
             WHERE webhook_id = :w AND lane = ANY(CAST(:lanes AS uuid[])) AND next_at IS NOT NULL"""
    execute(c, sql, w=webhook, lanes=list(lanes))
    promote(c, webhook, lanes)
    return len(found), max(r.n for r in found) if len(found) == limit else None


# --- expiry ----------------------------------------------------------------------------------------------------------


def list_kept(c: Connection) -> list[tuple[UUID, bool]]:
    """Return every webhook there is a row of, and whether it is deleted."""
    return [
        (r.id, r.deleted_at is not None) for r in rows(c, "SELECT id, deleted_at FROM webhooks ORDER BY id")
    ]


def delete_oldest(c: Connection, webhook: UUID, keep: timedelta, limit: int) -> tuple[int, int]:
    """Delete a webhook's oldest events that are older than *keep*; return how many, and how many were never delivered.

    The webhook's row is locked, and what waited behind them is due.
    """
    row(c, "SELECT id FROM webhooks WHERE id = :w FOR NO KEY UPDATE", w=webhook)
    found = rows(
        c,
        """WITH oldest AS (
               SELECT id, created_at FROM webhook_events WHERE webhook_id = :w ORDER BY n LIMIT :limit)
           DELETE FROM webhook_events e USING oldest
           WHERE e.webhook_id = :w AND e.id = oldest.id AND oldest.created_at < now() - CAST(:keep AS interval)
           RETURNING e.lane, e.state""",
        w=webhook,
        keep=keep,
        limit=limit,
    )
    promote(c, webhook, {r.lane for r in found})
    return len(found), sum(r.state != EventState.DELIVERED for r in found)


def delete_row(c: Connection, webhook: UUID) -> None:
    """Delete the row of a deleted webhook that has no events left."""
    sql = """DELETE FROM webhooks w WHERE id = :w AND deleted_at IS NOT NULL
               AND NOT EXISTS (SELECT FROM webhook_events e WHERE e.webhook_id = w.id)"""
    execute(c, sql, w=webhook)
