"""The epoch in the database, the one row of table ``mark``: whether anything may be sent, and the doubt, if any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.restore import Epoch, StoredEpoch
from pipeline.store.database import has_row, require_row, row, rows

_SAME_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"

EPOCH_IS_OPEN = f"""EXISTS (
    SELECT FROM mark m WHERE m.held_at IS NULL AND (m.epoch IS NULL OR (
        m.until > now() AND m.started = pg_postmaster_start_time()
        AND m.relation = m.tableoid AND m.writer = m.xmin AND m.database = {_SAME_DATABASE})))"""
"""Condition: this database, on this run of its server, matches the epoch file, which is valid beyond now.

It is part of the statements that release, claim and arm. A database without an epoch is held back by the send guard
alone. A copied database has another oid; a row restored from a dump has another writer, and its table another oid; and
a server whose files were restored has been started again.
"""

BROUGHT_FORWARD_RECORDED = """NOT EXISTS (SELECT FROM brought_forward b, mark k
                        WHERE b.delivery_id = deliveries.id AND k.epoch IS NOT NULL)"""
"""Condition: the epoch file, if there is one, records that the delivery was brought forward. Part of arming."""

_MINE = "pg_current_xact_id()::xid"
_STAYS_MINE = f"CASE WHEN writer = xmin THEN {_MINE} ELSE writer END"
"""The writer that every other update of the row has to set, because an update changes the row's xmin."""

_READ = f"""
SELECT epoch, n, until, marked_at, held_at, held_why, doubt_since, doubt_until, now() AS now,
       coalesce(relation <> tableoid OR writer <> xmin OR database <> {_SAME_DATABASE}, false) AS moved,
       {EPOCH_IS_OPEN} AS open,
       pg_postmaster_start_time() AS server
FROM mark
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A mismatch that no operator accepted. ``since`` None: from the beginning; ``until`` None: an operator sets it."""

    why: str
    found_at: datetime
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochState:
    """The row as it was read."""

    stored: StoredEpoch
    confirmed_at: datetime | None
    doubt: Doubt | None
    is_open: bool
    now: datetime
    server: datetime
    """When the database server was started."""

    @property
    def age(self) -> timedelta | None:
        """How long ago the epoch was confirmed; negative after the clock was set back."""
        return None if self.confirmed_at is None else self.now - self.confirmed_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """An epoch that the database has committed, to be written to the epoch file."""

    epoch: Epoch
    server: datetime
    at: datetime
    forward: Sequence[UUID]
    """Deliveries that were brought forward, to be recorded in the file with it."""


def read(c: Connection) -> EpochState:
    """Read the epoch."""
    return _to_epoch_state(row(c, _READ))


def lock(c: Connection) -> EpochState:
    """Read the epoch and lock it against other advances until the transaction ends."""
    return _to_epoch_state(row(c, _READ + " FOR UPDATE OF mark"))


def intend(c: Connection, epoch: UUID, lease: timedelta) -> Intent:
    """Commit the next number of an epoch, or begin it with the first. The caller holds the lock and has compared."""
    found = require_row(
        c,
        "The table mark has no row.",
        f"""UPDATE mark SET n = CASE WHEN epoch = :epoch THEN n + 1 ELSE 1 END, epoch = :epoch,
                   database = {_SAME_DATABASE}, relation = tableoid, writer = {_MINE}
            RETURNING n, now() AS now, pg_postmaster_start_time() AS server""",
        epoch=epoch,
    )
    forward = [r.delivery_id for r in rows(c, "SELECT delivery_id FROM brought_forward LIMIT 5000")]
    noted = row(
        c, "SELECT clock_timestamp() AS at"
    )  # after they were read, so later than each of their commits
    new = Epoch(id=epoch, number=found.n, until=found.now + lease)
    return Intent(epoch=new, server=found.server, at=noted.at if noted else found.now, forward=forward)


def confirm(c: Connection, intent: Intent) -> bool:
    """Confirm that the file holds the epoch, so that sending is allowed. False when the database is another one now."""
    row(
        c,
        "DELETE FROM brought_forward WHERE delivery_id = ANY(:ids) RETURNING delivery_id",
        ids=list(intent.forward),
    )
    return has_row(
        c,
        f"""UPDATE mark SET until = :until, marked_at = now(), started = :server, writer = {_MINE}
            WHERE epoch = :epoch AND held_at IS NULL AND pg_postmaster_start_time() = :server
              AND relation = tableoid AND writer = xmin AND database = {_SAME_DATABASE} RETURNING n""",
        epoch=intent.epoch.id,
        until=intent.epoch.until,
        server=intent.server,
    )


def has_brought_forward(c: Connection) -> bool:
    """Return whether a brought-forward delivery is not recorded in the epoch file yet."""
    return has_row(c, "SELECT 1 AS one FROM brought_forward LIMIT 1")


def hold(c: Connection, why: str, *, since: datetime | None, until: datetime | None) -> None:
    """Hold all sending from now on. Another hold only extends the span of doubt; one by a command stays what it is."""
    row(
        c,
        f"""UPDATE mark SET writer = {_STAYS_MINE},
                  held_why = CASE WHEN held_why IN ('declared', 'backup') THEN held_why ELSE :why END,
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


def clear_hold(c: Connection) -> None:
    """Clear the hold: the epoch file is back, and in step."""
    row(
        c,
        f"""UPDATE mark SET held_at = NULL, held_why = NULL, doubt_since = NULL, doubt_until = NULL,
                   writer = {_STAYS_MINE} RETURNING n""",
    )


def begin_epoch(c: Connection, epoch: UUID) -> datetime:
    """Begin a new epoch after an operator accepts the doubt; the send guard confirms it. Return the database's time."""
    clear_hold(c)
    found = require_row(
        c,
        "The table mark has no row.",
        f"""UPDATE mark SET epoch = :epoch, n = 1, until = NULL, marked_at = now(), started = NULL,
                   database = {_SAME_DATABASE}, relation = tableoid, writer = {_MINE} RETURNING now() AS now""",
        epoch=epoch,
    )
    instant: datetime = found.now
    return instant


def _to_epoch_state(found: Any) -> EpochState:
    if found is None:
        raise LookupError("The table mark has no row. Run `slipway migrate`.")
    doubt = None
    if found.held_at is not None:
        doubt = Doubt(
            why=found.held_why, found_at=found.held_at, since=found.doubt_since, until=found.doubt_until
        )
    stored = StoredEpoch(id=found.epoch, number=found.n, until=found.until, moved=found.moved)
    return EpochState(
        stored=stored,
        confirmed_at=found.marked_at,
        doubt=doubt,
        is_open=found.open,
        now=found.now,
        server=found.server,
    )
