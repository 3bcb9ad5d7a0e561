"""Pages of posts for who is bound to accounts: the posts that go to none but these.

Whatever most posts are is found along the deliveries of the accounts, newest first. Other statuses may be rare, and far
apart: the counts by sets of accounts tell the hours in which such posts were made, and only these are looked into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.deliveries.ownership import WITHIN, posts_within
from pipeline.store.posts.views import POST_COLUMNS
from pipeline.store.rollups.account_sets import SETS_WITHIN
from pipeline.store.rollups.time_buckets import CENTURY, END, EPOCH

_HOUR = timedelta(hours=1)
_NEWEST = "ORDER BY created_at DESC, id DESC LIMIT :n"
_NEXT = f"""
    SELECT DISTINCT made, post FROM unnest({WITHIN}) AS one (account), LATERAL (
        SELECT created_at AS made, post_id AS post FROM deliveries WHERE account_id = one.account
        AND created_at >= :from_at AND (created_at, post_id) < (:to_at, :to_id)
        ORDER BY created_at DESC, post_id DESC LIMIT :many) x
    ORDER BY made DESC, post DESC LIMIT :many"""
"""What may be the next posts: an index tells."""
_ALONG = f"""
SELECT {POST_COLUMNS} FROM ({_NEXT}) next,
LATERAL (SELECT * FROM posts WHERE id = next.post AND created_at = next.made AND {{where}} OFFSET 0) posts
ORDER BY next.made DESC, next.post DESC LIMIT :missing
"""
"""A post has a delivery that was made with it, in one transaction and so at the same moment, to one of the accounts it
goes to; those that edits added are younger and passed over. Nothing is read of more posts than are shown."""
_LAST = f"SELECT made, post FROM ({_NEXT}) next ORDER BY made DESC, post DESC LIMIT 1 OFFSET :many - 1"
"""The last of them, if there are so many."""
_MOST_AT_ONCE = 10_000
"""Of these, read from the index of each account; to show a page a quarter more than it holds will mostly do."""
_HIGHEST = UUID(int=2**128 - 1)
"""No post's id: it is no UUIDv7."""
_DUE = f"""
SELECT {POST_COLUMNS} FROM posts WHERE {{where}} AND status = 'scheduled'
AND due_at BETWEEN (SELECT CAST('-infinity' AS timestamptz)) AND (SELECT now())
ORDER BY created_at + interval '0' DESC, id DESC LIMIT :n
"""
"""Overdue ones, found by their index (``counts.py``) and not by looking for them among all, from the newest on."""
_HOURS = f"""
WITH mine AS MATERIALIZED ({SETS_WITHIN})
SELECT hour, CAST(sum(n) AS bigint) AS n FROM (
    SELECT x.* FROM mine, LATERAL (
        SELECT starts_at AS hour, n FROM account_set_spans
        WHERE set_id = mine.id AND minutes = 60 AND status = :status AND starts_at BETWEEN :first AND :last
        ORDER BY starts_at DESC LIMIT :n) x
    UNION ALL SELECT date_bin('1 hour', starts_at, timestamptz 'epoch'), n FROM account_set_deltas
    WHERE workspace_id = :w AND accounts <@ {WITHIN} AND status = :status AND starts_at BETWEEN :first AND :last) x
GROUP BY hour ORDER BY hour DESC LIMIT :n
"""
"""The newest hours with posts of a status, and how many; none is left out that is newer than the last of them."""
_OF_HOURS = f"""
SELECT {POST_COLUMNS} FROM unnest(CAST(:hours AS timestamptz[])) AS h (hour), {{among}} LATERAL (
    SELECT * FROM posts WHERE {{where}} AND status = :status AND {{also}}
    AND created_at >= h.hour AND created_at < h.hour + interval '1 hour' OFFSET 0) posts
{_NEWEST}
"""
_BY_ACCOUNT = f"""LATERAL (
    SELECT DISTINCT post_id FROM deliveries WHERE account_id = ANY({WITHIN})
    AND created_at >= h.hour AND created_at < h.hour + interval '1 hour' OFFSET 0) d,"""
"""Where these accounts have few posts: first those they have in the hour, then whether they are of the status."""
_RARER = f"""
SELECT coalesce((SELECT sum(n) FROM account_set_spans WHERE minutes = {CENTURY} AND set_id IN ({SETS_WITHIN})), 0)
       < coalesce((SELECT n FROM post_counts WHERE workspace_id = :w AND status = :status), 0) AS rarer
"""


def page(c: Connection, accounts: list[UUID], where: str, values: Mapping[str, Any]) -> Sequence[Any]:
    """Rows of POST_COLUMNS that are true of ``where``, newest first, ``n`` at the most; ``status``: None for any."""
    within, bound = posts_within(accounts)
    where, values = f"{where} AND {within}", {**values, **bound}
    match values["status"]:
        case None:
            return _along(c, where, values)
        case "posted":
            return _along(c, f"status = :status AND {where}", values)
        case "pending":
            due = rows(c, _DUE.format(where=where), **values)
            found = [*due, *_by_hours(c, where, values)]
            return sorted(found, key=lambda r: (r.created_at, r.id), reverse=True)[: values["n"]]
        case _:
            return _by_hours(c, where, values)


def _along(c: Connection, where: str, values: Mapping[str, Any]) -> list[Any]:
    """Some that may be the next ones are not in sight: more are asked for, and of twice as many each time."""
    found: list[Any] = []
    many, from_at, to = values["n"] * 5 // 4 + 8, values["since"] or EPOCH, _end(values)
    while True:
        stretch = {**values, "from_at": from_at, "to_at": to[0], "to_id": to[1], "many": many}
        found += rows(c, _ALONG.format(where=where), missing=values["n"] - len(found), **stretch)
        if len(found) == values["n"] or (last := row(c, _LAST, **stretch)) is None:
            return found
        to, many = (last.made, last.post), min(2 * many, _MOST_AT_ONCE)


def _end(values: Mapping[str, Any]) -> tuple[datetime, UUID]:
    """What every post that is asked for comes before, by when it was made and its id."""
    until = (values["until"] or END, _HIGHEST)
    return until if values["before_at"] is None else min(until, (values["before_at"], values["before_id"]))


def _by_hours(c: Connection, where: str, values: Mapping[str, Any]) -> list[Any]:
    """Hours are taken as long as posts are missing: of some all are younger than is asked for, or overdue by now."""
    rarer = _rarer(c, values)
    sql = _OF_HOURS.format(
        where=f"id = d.post_id AND {where}" if rarer else where,
        also="due_at > now()" if values["status"] == "scheduled" else "true",
        among=_BY_ACCOUNT if rarer else "",
    )
    first = max(values["since"] or EPOCH, EPOCH)
    last = min(filter(None, (values["until"], values["before_at"], END)))
    found: list[Any] = []
    while len(found) < values["n"] and (hours := rows(c, _HOURS, first=_whole(first), last=last, **values)):
        taken = _enough(hours, values["n"] - len(found))
        found += rows(c, sql, hours=taken, **values)
        last = taken[-1] - timedelta(microseconds=1)
    return found[: values["n"]]


def _enough(hours: Sequence[Any], wanted: int) -> list[datetime]:
    """The first of these hours, until there are as many posts."""
    before = accumulate((hour.n for hour in hours), initial=0)
    return [hour.hour for hour, n in zip(hours, before, strict=False) if n < wanted]


def _rarer(c: Connection, values: Mapping[str, Any]) -> bool:
    """Whether there are fewer posts of these accounts than the workspace has of that status, or nearly so."""
    found = row(c, _RARER, **values)
    return found is not None and bool(found.rarer)


def _whole(moment: datetime) -> datetime:
    return moment - (moment - EPOCH) % _HOUR
