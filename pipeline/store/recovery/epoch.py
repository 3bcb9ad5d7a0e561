"""The database's half of the mark, one row: whether anything may be sent, and what was found to be in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.epoch import Inside, Mark
from pipeline.store.database import row, rows

_SAME_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"

OPEN = f"""EXISTS (
    SELECT FROM mark m WHERE m.held_at IS NULL AND (m.epoch IS NULL OR (
        m.until > now() AND m.started = pg_postmaster_start_time()
        AND m.relation = m.tableoid AND m.writer = m.xmin AND m.database = {_SAME_DATABASE})))"""
"""Whether this very database, on this run of its server, was compared with the mark outside, and that is ahead of now.

Part of the statements that release, claim and arm. One in which nobody has kept a mark yet is held back by the keeper
alone. A copy has another number for its database; out of a dump, the row has another writer and its table another
number; and a server whose files were put back was started.
"""

NOTED = """NOT EXISTS (SELECT FROM brought_forward b, mark k
                        WHERE b.delivery_id = deliveries.id AND k.epoch IS NOT NULL)"""
"""Whether it stands outside that a delivery was brought forward, where there is an outside; part of arming."""

_MINE = "pg_current_xact_id()::xid"
_STAYS_MINE = f"CASE WHEN writer = xmin THEN {_MINE} ELSE writer END"
"""What every other update of the row has to write, for it makes the row its own transaction's."""

_READ = f"""
SELECT epoch, n, until, marked_at, held_at, held_why, doubt_since, doubt_until, now() AS now,
       coalesce(relation <> tableoid OR writer <> xmin OR database <> {_SAME_DATABASE}, false) AS moved, {OPEN} AS open,
       pg_postmaster_start_time() AS server
FROM mark
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A mismatch that nobody has accepted. ``since`` None: from the beginning; ``until`` None: a person must say."""

    why: str
    found_at: datetime
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The row as it stands."""

    inside: Inside
    marked_at: datetime | None
    doubt: Doubt | None
    open: bool
    now: datetime
    server: datetime
    """When the server was started."""

    @property
    def age(self) -> timedelta | None:
        """How long ago it was confirmed; negative after a clock was set back."""
        return None if self.marked_at is None else self.now - self.marked_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A mark that the database knows and that may stand outside from now on."""

    mark: Mark
    server: datetime
    at: datetime
    forward: Sequence[UUID]
    """Deliveries that were brought forward: to be noted outside with it."""


def read(c: Connection) -> Kept:
    """The mark in the database."""
    return _kept(row(c, _READ))


def lock(c: Connection) -> Kept:
    """The same, and nobody else may mean to advance it until the caller's transaction ends."""
    return _kept(row(c, _READ + " FOR UPDATE OF mark"))


def intend(c: Connection, epoch: UUID, lease: timedelta) -> Intent:
    """The next number of an epoch; the first begins it. The caller holds the lock and has compared."""
    found = row(
        c,
        f"""UPDATE mark SET n = CASE WHEN epoch = :epoch THEN n + 1 ELSE 1 END, epoch = :epoch,
                   database = {_SAME_DATABASE}, relation = tableoid, writer = {_MINE}
            RETURNING n, now() AS now, pg_postmaster_start_time() AS server""",
        epoch=epoch,
    )
    if found is None:
        raise LookupError("The table mark has no row.")
    forward = [r.delivery_id for r in rows(c, "SELECT delivery_id FROM brought_forward LIMIT 5000")]
    noted = row(
        c, "SELECT clock_timestamp() AS at"
    )  # after they were read, so later than each of their commits
    mark = Mark(epoch=epoch, n=found.n, until=found.now + lease)
    return Intent(mark=mark, server=found.server, at=noted.at if noted else found.now, forward=forward)


def confirm(c: Connection, intent: Intent) -> bool:
    """It stands outside: what it allows may be sent. False when the database is not the one that meant it."""
    row(
        c,
        "DELETE FROM brought_forward WHERE delivery_id = ANY(:ids) RETURNING delivery_id",
        ids=list(intent.forward),
    )
    found = row(
        c,
        f"""UPDATE mark SET until = :until, marked_at = now(), started = :server, writer = {_MINE}
            WHERE epoch = :epoch AND held_at IS NULL AND pg_postmaster_start_time() = :server
              AND relation = tableoid AND writer = xmin AND database = {_SAME_DATABASE} RETURNING n""",
        epoch=intent.mark.epoch,
        until=intent.mark.until,
        server=intent.server,
    )
    return found is not None


def any_brought_forward(c: Connection) -> bool:
    """Whether one of these waits to be noted outside."""
    return row(c, "SELECT 1 AS one FROM brought_forward LIMIT 1") is not None


def hold(c: Connection, why: str, *, since: datetime | None, until: datetime | None) -> None:
    """From now on nothing is sent. Found again, the span only grows; what a person declared stays that."""
    row(
        c,
        f"""UPDATE mark SET writer = {_STAYS_MINE},
                  held_why = CASE WHEN held_why = 'declared' THEN held_why ELSE :why END,
                  held_at = coalesce(held_at, now()),
                  doubt_since = CASE WHEN held_at IS NULL THEN CAST(:since AS timestamptz)
                                     WHEN doubt_since IS NULL OR CAST(:since AS timestamptz) IS NULL THEN NULL
                                     ELSE least(doubt_since, :since) END,
                  doubt_until = greatest(doubt_until, CAST(:until AS timestamptz))
           RETURNING n""",
        why=why,
        since=since,
        until=until,
    )


def let_go(c: Connection) -> None:
    """The mark that was lost is there again, and in step."""
    row(
        c,
        f"""UPDATE mark SET held_at = NULL, held_why = NULL, doubt_since = NULL, doubt_until = NULL,
                   writer = {_STAYS_MINE} RETURNING n""",
    )


def begin_epoch(c: Connection, epoch: UUID) -> datetime:
    """What was in doubt is accepted: a new epoch, confirmed by whoever keeps the mark next. The database's time."""
    let_go(c)
    found = row(
        c,
        f"""UPDATE mark SET epoch = :epoch, n = 1, until = NULL, marked_at = now(), started = NULL,
                   database = {_SAME_DATABASE}, relation = tableoid, writer = {_MINE} RETURNING now() AS now""",
        epoch=epoch,
    )
    if found is None:
        raise LookupError("The table mark has no row.")
    moment: datetime = found.now
    return moment


def _kept(found: Any) -> Kept:
    if found is None:
        raise LookupError("The table mark has no row: `slipway migrate` puts it there.")
    doubt = None
    if found.held_at is not None:
        doubt = Doubt(
            why=found.held_why, found_at=found.held_at, since=found.doubt_since, until=found.doubt_until
        )
    inside = Inside(epoch=found.epoch, n=found.n, until=found.until, moved=found.moved)
    return Kept(
        inside=inside,
        marked_at=found.marked_at,
        doubt=doubt,
        open=found.open,
        now=found.now,
        server=found.server,
    )
