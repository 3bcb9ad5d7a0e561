"""Slots of hosts: how many checks read from one host at once, over all workers.

A claim takes a slot of its check's host in the transaction that takes the check, and the end of the try frees it in
the transaction that stores the result. The primary key keeps two claims from taking the same slot. A worker that dies
leaves its slot until ``held_until``, which is later than the end of any try; then maintenance frees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def list_full_hosts(c: Connection, limit: int) -> Sequence[str]:
    """Return the hosts with *limit* slots taken, or more."""
    sql = "SELECT host FROM host_slots GROUP BY host HAVING count(*) >= :limit"
    return [r.host for r in rows(c, sql, limit=limit)]


def free_slot(c: Connection, check: UUID) -> None:
    """Free the slot that a check has, if it has one."""
    row(c, "DELETE FROM host_slots WHERE check_id = :check RETURNING check_id", check=check)


def free_expired_slots(c: Connection) -> int:
    """Free the slots of workers that died, and return how many."""
    return len(rows(c, "DELETE FROM host_slots WHERE held_until < now() RETURNING check_id"))
