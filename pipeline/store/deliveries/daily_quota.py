"""The daily quota: posts that an account, or our app, sent in the last 24 hours, counted from the attempts.

The platform's capabilities (``daily_per``) set the scope of the count: mostly one account; on some platforms our app,
which is all accounts connected through it, of every workspace.

Inbox drafts are counted apart from posts: a delivery is one if the options of its post say so, an attempt if its
delivery was one when it was armed.

Counting and arming are two statements. Where they must not exceed the quota, ``lock_daily_quota``, the count and the
arming share one transaction: the lock lasts until it ends, so a count sees what the previous holder armed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import DailyPer
from pipeline.store.database import find_value, read_number, row, rows

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DailyQuota:
    """How many posts, or inbox drafts, an account or our app may send in 24 hours."""

    allowed: int
    per: DailyPer = "account"
    drafts: bool = False
    """True if the quota is of inbox drafts; else of posts."""

    @property
    def too_many(self) -> int:
        """The bound of a count of posts: one more than may be sent."""
        return self.allowed + 1


SENT_WITHIN_A_DAY = "armed_at > now() - interval '1 day' AND outcome IS DISTINCT FROM 'refused'"
"""Condition: an attempt counts, as it may have been sent in the last 24 hours."""

_ACCOUNTS = {
    "account": "account_id = :a",
    "app": """account_id IN (SELECT x.id FROM accounts x
                             JOIN accounts me ON me.platform = x.platform WHERE me.id = :a)""",
}


def build_planned(accounts: str, due: str, drafts: str, most: str) -> str:
    """Return the SQL expression that counts the inbox drafts, or posts, of ``count_planned``, each part to ``most``."""
    return f"""(SELECT count(*) FROM (SELECT FROM post_deliveries
             WHERE {accounts} AND state IN ('accepted', 'scheduled', 'retrying')
               AND due_at > {due} - interval '1 day' AND due_at <= {due} AND inbox_draft = {drafts}
             LIMIT {most}) AS planned)
          + (SELECT count(*) FROM (SELECT FROM attempts WHERE {accounts} AND outcome IS DISTINCT FROM 'refused'
             AND armed_at > {due} - interval '1 day' AND inbox_draft = {drafts} LIMIT {most}) AS sent)"""


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


def compute_quota_wait(c: Connection, account: UUID, quota: DailyQuota) -> timedelta:
    """Return zero if one more may be sent, else the time until the oldest of the last ``allowed`` is a day old."""
    wait = find_value(
        c,
        timedelta,
        f"""SELECT armed_at + interval '1 day' - now() AS wait FROM attempts
            WHERE {_ACCOUNTS[quota.per]} AND {SENT_WITHIN_A_DAY} AND inbox_draft = :drafts
            ORDER BY armed_at DESC OFFSET :n LIMIT 1""",
        a=account,
        n=quota.allowed - 1,
        drafts=quota.drafts,
    )
    return timedelta(0) if wait is None else max(wait, timedelta(seconds=1))


def count_sent(c: Connection, account: UUID, quota: DailyQuota) -> int:
    """Count what the account, or our app, sent in the last 24 hours."""
    return read_number(
        c,
        f"""SELECT count(*) AS n FROM attempts
            WHERE {_ACCOUNTS[quota.per]} AND {SENT_WITHIN_A_DAY} AND inbox_draft = :drafts""",
        a=account,
        drafts=quota.drafts,
    )


def count_sent_by(c: Connection, accounts: Collection[UUID]) -> dict[tuple[UUID, bool], int]:
    """Count what each account itself sent in the last 24 hours, by its id and whether it is inbox drafts."""
    found = rows(
        c,
        f"""SELECT account_id, inbox_draft, count(*) AS n FROM attempts
            WHERE account_id = ANY (CAST(:ids AS uuid[])) AND {SENT_WITHIN_A_DAY} GROUP BY account_id, inbox_draft""",
        ids=list(accounts),
    )
    return {(r.account_id, r.inbox_draft): r.n for r in found}


def count_planned(c: Connection, account: UUID, due_at: datetime, quota: DailyQuota) -> int:
    """Count what the account, or our app, has sent or is still to send in the 24 hours up to ``due_at``.

    A count over the quota need not be exact: it ends soon after, so that a flood of posts does not slow each new one.
    """
    return read_number(
        c,
        f"SELECT {build_planned(_ACCOUNTS[quota.per], 'CAST(:due AS timestamptz)', ':drafts', ':most')} AS n",
        a=account,
        most=quota.too_many,
        due=due_at,
        drafts=quota.drafts,
    )
