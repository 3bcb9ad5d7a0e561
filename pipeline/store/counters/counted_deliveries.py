"""The counters' record of deliveries, so that each reason and attempt is counted once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows


@dataclass(frozen=True, slots=True)
class Counted:
    """The counted facts of one delivery: its state since when, the reason, and its attempts up to a number."""

    platform: str
    state: str
    reason: str
    since: datetime
    due_at: datetime
    attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedAttempt:
    """An attempt with its outcome; ``n`` numbers the attempts of a delivery, of which one at most is open."""

    delivery_id: UUID
    n: int
    outcome: str


def read_counted(c: Connection, deliveries: Collection[UUID]) -> dict[UUID, Counted]:
    """Return the counted facts of these deliveries; deliveries without a row are left out."""
    found = rows(
        c,
        """SELECT delivery_id, platform, state, reason, since, due_at, attempts FROM counted_deliveries
           WHERE delivery_id = ANY(CAST(:ids AS uuid[]))""",
        ids=list(deliveries),
    )
    return {identity: Counted(*values) for identity, *values in found}


def list_closed_attempts(c: Connection, deliveries: Collection[UUID]) -> list[ClosedAttempt]:
    """Return the closed attempts of these deliveries, in their order."""
    found = rows(
        c,
        """SELECT t.delivery_id, t.n, t.outcome FROM unnest(CAST(:ids AS uuid[])) AS x (id), LATERAL (
               SELECT * FROM attempts WHERE delivery_id = x.id AND closed_at IS NOT NULL ORDER BY n OFFSET 0) t""",
        ids=list(deliveries),
    )
    return [ClosedAttempt(delivery_id=r.delivery_id, n=r.n, outcome=r.outcome) for r in found]


def save_counted(c: Connection, changed: Mapping[UUID, Counted | None]) -> None:
    """Store the counted facts of these deliveries; None: nothing has to be known of it any more."""
    gone = [delivery for delivery, one in changed.items() if one is None]
    if gone:
        rows(
            c,
            "DELETE FROM counted_deliveries WHERE delivery_id = ANY(CAST(:ids AS uuid[])) RETURNING delivery_id",
            ids=gone,
        )
    kept = [(delivery, *astuple(one)) for delivery, one in changed.items() if one is not None]
    if not kept:
        return
    ids, platforms, states, reasons, since, due, attempts = (
        list(column) for column in zip(*kept, strict=True)
    )
    rows(
        c,
        """INSERT INTO counted_deliveries (delivery_id, platform, state, reason, since, due_at, attempts)
           SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:platforms AS text[]), CAST(:states AS text[]),
                                CAST(:reasons AS text[]), CAST(:since AS timestamptz[]), CAST(:due AS timestamptz[]),
                                CAST(:attempts AS integer[]))
           ON CONFLICT (delivery_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
               since = excluded.since, due_at = excluded.due_at, attempts = excluded.attempts
           RETURNING delivery_id""",
        ids=ids,
        platforms=platforms,
        states=states,
        reasons=reasons,
        since=since,
        due=due,
        attempts=attempts,
    )
