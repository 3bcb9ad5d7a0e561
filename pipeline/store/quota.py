"""The daily quota ledger: how many posts an account has sent in a rolling day, from the attempts themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row

DAY = timedelta(days=1)


def room_in_day(c: Connection, account: UUID, allowed: int) -> timedelta:
    """Zero when the account may send one more; else the time until the oldest of the last ``allowed`` is a day old."""
    found = row(
        c,
        """SELECT armed_at + interval '1 day' - now() AS wait FROM attempts
           WHERE account_id = :a AND armed_at > now() - interval '1 day' AND outcome IS DISTINCT FROM 'refused'
           ORDER BY armed_at DESC OFFSET :n LIMIT 1""",
        a=account, n=allowed - 1,
    )  # fmt: skip
    wait: timedelta = timedelta(0) if found is None else max(found.wait, timedelta(seconds=1))
    return wait


def sent_in_day(c: Connection, account: UUID) -> int:
    """How many posts this account sent in the last 24 hours."""
    found = row(
        c,
        """SELECT count(*) AS n FROM attempts WHERE account_id = :a AND armed_at > now() - interval '1 day'
             AND outcome IS DISTINCT FROM 'refused'""",
        a=account,
    )
    return int(found.n) if found else 0


def planned_in_day(c: Connection, account: UUID, due_at: datetime) -> int:
    """Posts of this account, sent or still to send, that fall into the 24 hours up to ``due_at``."""
    found = row(
        c,
        """SELECT (SELECT count(*) FROM deliveries
                   WHERE account_id = :a AND state IN ('accepted', 'scheduled', 'retrying')
                   AND due_at > CAST(:due AS timestamptz) - interval '1 day' AND due_at <= :due)
                + (SELECT count(*) FROM attempts WHERE account_id = :a AND outcome IS DISTINCT FROM 'refused'
                   AND armed_at > CAST(:due AS timestamptz) - interval '1 day') AS n""",
        a=account, due=due_at,
    )  # fmt: skip
    return int(found.n) if found else 0
