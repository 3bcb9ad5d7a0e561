"""The posts that the accepted rows of an import add to each account and day, and the posts there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.array_literals import write_ids, write_times, write_words
from pipeline.store.database import jsonb, rows
from pipeline.store.deliveries.daily_quota import SENT_WITHIN_A_DAY
from pipeline.store.posts.options import Options

_ADDED = """
added AS (
    SELECT r.number, a AS account, coalesce(r.due_at, now()) AS due,
           md5(r.body ->> 'caption' || jsonb_strip_nulls(r.body -> 'media')::text) AS content
    FROM import_rows r, unnest(r.accounts) a
    WHERE r.import_id = :id AND r.verdict = 'accepted' AND r.action = 'create' AND r.post_id IS NULL),
there AS (
    SELECT d.account_id AS account, d.due_at AS due, d.post_id AS post, d.inbox_draft FROM deliveries d
    WHERE d.account_id IN (SELECT DISTINCT account FROM added) AND d.state IN ('accepted', 'scheduled', 'retrying'))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountDay:
    """The posts, or the inbox drafts, of one account on one day, in UTC."""

    account: UUID
    day: date
    drafts: bool
    posts: int
    """The number that the import adds."""
    before: int
    """The number that is planned or sent already."""
    last_due: datetime


def list_days(c: Connection, identity: UUID, draft_options: Options, limit: int) -> list[AccountDay]:
    """Return the first days on which the import adds posts, by day, account and kind.

    ``draft_options``: by platform, those that leave an inbox draft: a row that is not applied has no delivery yet.
    """
    found = rows(
        c,
        f"""WITH {_ADDED}, taken AS (
                SELECT account, due, inbox_draft AS drafts FROM there
                UNION ALL
                SELECT account_id, armed_at, inbox_draft FROM attempts
                WHERE account_id IN (SELECT account FROM added) AND {SENT_WITHIN_A_DAY})
            SELECT a.*, coalesce(b.posts, 0) AS before
            FROM (SELECT account, (due AT TIME ZONE 'UTC')::date AS day, count(*) AS posts, max(due) AS last_due,
                         coalesce(r.body -> x.platform @> (CAST(:draft_options AS jsonb) -> x.platform), false)
                             AS drafts
                  FROM added JOIN import_rows r ON r.import_id = :id AND r.number = added.number
                       JOIN accounts x ON x.id = account
                  GROUP BY account, day, drafts ORDER BY day, account, drafts LIMIT :n) a
                 LEFT JOIN (SELECT account, (due AT TIME ZONE 'UTC')::date AS day, drafts, count(*) AS posts
                            FROM taken GROUP BY account, day, drafts) b USING (account, day, drafts)
            ORDER BY day, account, drafts""",
        id=identity,
        draft_options=jsonb(draft_options),
        n=limit,
    )
    return [AccountDay(**r._mapping) for r in found]


def count_fast(c: Connection, identity: UUID, paces: Mapping[UUID, tuple[int, timedelta]]) -> dict[UUID, int]:
    """Count, by account, the posts that follow so many others within the time of its pace."""
    found = rows(
        c,
        f"""WITH {_ADDED}, pace AS (
                SELECT * FROM unnest(:account::uuid[], :n::integer[], :seconds::float8[]) AS x (account, n, seconds)),
            turns AS (
                SELECT account, due, is_new, row_number() OVER (PARTITION BY account ORDER BY due) AS turn
                FROM (SELECT account, due, true AS is_new FROM added
                      UNION ALL SELECT account, due, false FROM there) every_one)
            SELECT t.account, count(*) AS posts
            FROM pace p JOIN turns t USING (account) JOIN turns o ON o.account = t.account AND o.turn = t.turn - p.n
            WHERE t.is_new AND t.due - o.due < make_interval(secs => p.seconds) GROUP BY t.account""",
        id=identity,
        account=write_ids(paces),
        n=write_words(n for n, _ in paces.values()),
        seconds=write_words(per.total_seconds() for _, per in paces.values()),
    )
    return {r.account: r.posts for r in found}


def count_same(c: Connection, identity: UUID) -> dict[UUID, int]:
    """Count, by account, the posts with the caption and media of another that the account has, or the import adds."""
    found = rows(
        c,
        f"""WITH {_ADDED}
            SELECT account, sum(n)::bigint AS posts FROM (
                SELECT account, count(*) FILTER (WHERE is_new) AS n
                FROM (SELECT account, content, true AS is_new FROM added
                      UNION ALL SELECT t.account, md5(p.caption || jsonb_strip_nulls(p.media)::text), false
                      FROM there t JOIN posts p ON p.id = t.post) every_one
                GROUP BY account, content HAVING count(*) > 1) same
            GROUP BY account HAVING sum(n) > 0""",
        id=identity,
    )
    return {r.account: r.posts for r in found}


def list_accounts(c: Connection, identity: UUID) -> list[UUID]:
    """Return the accounts that the import adds posts to."""
    return [r.account for r in rows(c, f"WITH {_ADDED} SELECT DISTINCT account FROM added", id=identity)]


def count_after(
    c: Connection, identity: UUID, ends: Mapping[UUID, datetime]
) -> dict[UUID, tuple[int, datetime]]:
    """Count, by account, the posts that are due at a time or later; return the first of their times too."""
    found = rows(
        c,
        f"""WITH {_ADDED}
            SELECT account, count(*) AS posts, min(due) AS first
            FROM added JOIN unnest(:account::uuid[], :ends::timestamptz[]) AS x (account, ends) USING (account)
            WHERE due >= ends GROUP BY account ORDER BY account""",
        id=identity,
        account=write_ids(ends),
        ends=write_times(ends.values()),
    )
    return {r.account: (r.posts, r.first) for r in found}
