"""The daily quota: posts that an account, or our app, sent in the last 24 hours, counted from the attempts.

The platform's capabilities (``daily_per``) say what is counted: mostly one account; on some platforms our app, which is
all accounts connected through it, of every workspace.

Counting and arming are two statements. Where they must not exceed the quota, ``lock_daily_quota``, the count and the
arming share one transaction: the lock lasts until it ends, so a count sees what the previous holder armed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import DailyPer
from pipeline.store.database import row

DAY = timedelta(days=1)

_ACCOUNTS = {
    "account": "account_id = :a",
    "app": """account_id IN (SELECT x.id FROM accounts x
                             JOIN accounts me ON me.platform = x.platform WHERE me.id = :a)""",
}


def lock_daily_quota(c: Connection, account: UUID, per: DailyPer = "account") -> None:
    """Lock the quota of the account or app until the transaction ends."""
    row(
        c,
        """SELECT pg_advisory_xact_lock(hashtextextended(
                      'day:' || CASE WHEN :app THEN platform ELSE CAST(id AS text) END, 0))
           FROM accounts WHERE id = :a""",
        a=account,
        app=per == "app",
    )


def compute_quota_wait(
    c: Connection, account: UUID, allowed: int, per: DailyPer = "account", *, drafts: bool = False
) -> timedelta:
    """Return zero if one more may be sent, else the time until the oldest of the last ``allowed`` is a day old.

    ``drafts``: count the inbox drafts instead of the posts.
    """
    found = row(
        c,
        f"""SELECT armed_at + interval '1 day' - now() AS wait FROM attempts
            WHERE {_ACCOUNTS[per]} AND armed_at > now() - interval '1 day' AND outcome IS DISTINCT FROM 'refused'
              AND inbox_draft = :drafts
            ORDER BY armed_at DESC OFFSET :n LIMIT 1""",
        a=account,
        n=allowed - 1,
        drafts=drafts,
    )
    wait: timedelta = timedelta(0) if found is None else max(found.wait, timedelta(seconds=1))
    return wait


def count_sent(c: Connection, account: UUID, per: DailyPer = "account", *, drafts: bool | None = None) -> int:
    """Count what the account, or our app, sent in the last 24 hours. ``drafts``: only inbox drafts, or only posts."""
    found = row(
        c,
        f"""SELECT count(*) AS n FROM attempts
            WHERE {_ACCOUNTS[per]} AND armed_at > now() - interval '1 day' AND outcome IS DISTINCT FROM 'refused'
              AND (CAST(:drafts AS boolean) IS NULL OR inbox_draft = :drafts)""",
        a=account,
        drafts=drafts,
    )
    return int(found.n) if found else 0


def count_planned(c: Connection, account: UUID, due_at: datetime, per: DailyPer = "account") -> int:
    """Count the posts of the account, or our app, sent or still to send, in the 24 hours up to ``due_at``."""
    accounts = _ACCOUNTS[per]
    found = row(
        c,
        f"""SELECT (SELECT count(*) FROM deliveries
                    WHERE {accounts} AND state IN ('accepted', 'scheduled', 'retrying')
                    AND due_at > CAST(:due AS timestamptz) - interval '1 day' AND due_at <= :due)
                 + (SELECT count(*) FROM attempts WHERE {accounts} AND outcome IS DISTINCT FROM 'refused'
                    AND armed_at > CAST(:due AS timestamptz) - interval '1 day') AS n""",
        a=account,
        due=due_at,
    )
    return int(found.n) if found else 0
