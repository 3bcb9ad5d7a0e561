"""The daily quota ledger: how many posts an account, or our app, sent in a rolling day, from the attempts themselves.

Whose day it is, the platform's capabilities say (``daily_per``): most count by account; some by project, which is all
accounts connected through our app there, of every workspace.

Counting and arming are two statements. Where they must not overshoot, ``lock_day``, the count and the arming share one
transaction: the lock is held until it ends, and the count after it sees whatever the holder before has armed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import DailyPer
from pipeline.store.database import row

DAY = timedelta(days=1)

_WHOSE = {
    "account": "account_id = :a",
    "app": """account_id IN (SELECT x.id FROM accounts x
                             JOIN accounts me ON me.platform = x.platform WHERE me.id = :a)""",
}


def lock_day(c: Connection, account: UUID, per: DailyPer = "account") -> None:
    """Keeps everybody else who locks this day waiting until the transaction of ``c`` ends."""
    row(
        c,
        """SELECT pg_advisory_xact_lock(hashtextextended(
                      'day:' || CASE WHEN :app THEN platform ELSE CAST(id AS text) END, 0))
           FROM accounts WHERE id = :a""",
        a=account,
        app=per == "app",
    )


def room_in_day(c: Connection, account: UUID, allowed: int, per: DailyPer = "account") -> timedelta:
    """Zero when the account may send one more; else the time until the oldest of the last ``allowed`` is a day old."""
    found = row(
        c,
        f"""SELECT armed_at + interval '1 day' - now() AS wait FROM attempts
            WHERE {_WHOSE[per]} AND armed_at > now() - interval '1 day' AND outcome IS DISTINCT FROM 'refused'
            ORDER BY armed_at DESC OFFSET :n LIMIT 1""",
        a=account,
        n=allowed - 1,
    )
    wait: timedelta = timedelta(0) if found is None else max(found.wait, timedelta(seconds=1))
    return wait


def sent_in_day(c: Connection, account: UUID, per: DailyPer = "account") -> int:
    """How many posts this account, or our app, sent in the last 24 hours."""
    found = row(
        c,
        f"""SELECT count(*) AS n FROM attempts
            WHERE {_WHOSE[per]} AND armed_at > now() - interval '1 day' AND outcome IS DISTINCT FROM 'refused'""",
        a=account,
    )
    return int(found.n) if found else 0


def planned_in_day(c: Connection, account: UUID, due_at: datetime, per: DailyPer = "account") -> int:
    """Posts of this account, or of our app, sent or still to send, in the 24 hours up to ``due_at``."""
    whose = _WHOSE[per]
    found = row(
        c,
        f"""SELECT (SELECT count(*) FROM deliveries
                    WHERE {whose} AND state IN ('accepted', 'scheduled', 'retrying')
                    AND due_at > CAST(:due AS timestamptz) - interval '1 day' AND due_at <= :due)
                 + (SELECT count(*) FROM attempts WHERE {whose} AND outcome IS DISTINCT FROM 'refused'
                    AND armed_at > CAST(:due AS timestamptz) - interval '1 day') AS n""",
        a=account,
        due=due_at,
    )
    return int(found.n) if found else 0
