"""Slots of hosts: how many checks read from one host at once, over all workers.

A claim takes a slot of its check's host in the transaction that takes the check, and the end of the try frees it in
the transaction that stores the result. The primary key keeps two claims from taking the same slot. A worker that dies
leaves its slot until ``held_until``, which is later than the end of any try; then maintenance frees it.

A workspace may take another slot of a host while it holds fewer than are free: alone it has half of them, and its share
shrinks as others come, so that one that has none finds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def list_full_hosts(c: Connection, limit: int) -> Sequence[tuple[str, UUID | None]]:
    """Return the hosts, of *limit* slots each, with the workspace that has its share there; None: none is free."""
    found = rows(
        c,
        """SELECT DISTINCT host, CASE WHEN taken < :limit THEN workspace_id END AS workspace_id FROM (
               SELECT host, workspace_id, count(*) AS held, sum(count(*)) OVER (PARTITION BY host) AS taken
               FROM host_slots GROUP BY host, workspace_id) shares
           WHERE held >= :limit - taken""",
        limit=limit,
    )
    return [(r.host, r.workspace_id) for r in found]


def free_slot(c: Connection, check: UUID) -> None:
    """Free the slot that a check has, if it has one."""
    row(c, "DELETE FROM host_slots WHERE check_id = :check RETURNING check_id", check=check)


def free_expired_slots(c: Connection) -> int:
    """Free the slots of workers that died, and return how many."""
    return len(rows(c, "DELETE FROM host_slots WHERE held_until < now() RETURNING check_id"))
