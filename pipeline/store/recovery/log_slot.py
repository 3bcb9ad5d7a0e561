"""The replication slot by which a server keeps the write-ahead log that is not archived yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pipeline.store.database import build, execute, find_value, require_row

SLOT = "slipway_archive"
_READ = """
SELECT system_identifier AS system, coalesce(active, false) AS is_active,
       coalesce(wal_status <> 'lost', false) AS keeps_log,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint AS behind
FROM pg_control_system() LEFT JOIN pg_replication_slots ON slot_name = :slot
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """What a server says of it: the bytes that are not archived, and whether it keeps them and hands them out."""

    system: int
    """Identifies the server's files, copies of them too."""
    is_active: bool
    keeps_log: bool
    behind: int


def read_slot(c: Connection) -> Slot:
    """Return the state of the slot; one that does not exist keeps nothing."""
    return build(Slot, require_row(c, "The server has no control file.", _READ, slot=SLOT))


def create_slot(c: Connection) -> None:
    """Have the server keep the log from now on, in place of an earlier slot."""
    drop_slot(c)
    execute(c, "SELECT pg_create_physical_replication_slot(:slot, true)", slot=SLOT)


def drop_slot(c: Connection) -> None:
    """Let the server keep no log for an archive any more."""
    execute(
        c,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = :slot AND NOT active",
        slot=SLOT,
    )


def read_end_of_replay(c: Connection) -> datetime | None:
    """Return when the last transaction that was replayed had committed; None if there was none after the base."""
    return find_value(c, datetime, "SELECT pg_last_xact_replay_timestamp()")
