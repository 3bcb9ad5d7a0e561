"""Runs one check by its id, whatever else is due: what a worker does with the check it claimed."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.stages.reachability import run_claimed
from pipeline.store.checks.checks import Check, read_checks
from pipeline.store.database import row


def claim_check(c: Connection, check: UUID) -> Check | None:
    """Claim an undecided check for an hour; None if it is decided or under lease."""
    found = row(
        c,
        """UPDATE checks SET lease_until = now() + interval '1 hour', tries = tries + 1
           WHERE id = :id AND verdict IS NULL AND (lease_until IS NULL OR lease_until < now()) RETURNING id""",
        id=check,
    )
    return None if found is None else read_checks(c, [check])[check]


def run_check(context: Context, check: UUID) -> str | None:
    """Claim this check and try its URL. Return what came of it, or None if it cannot be claimed."""
    with context.database.begin() as c:
        claimed = claim_check(c, check)
    return None if claimed is None else run_claimed(context, claimed)
