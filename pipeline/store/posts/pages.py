"""Pages of posts, newest first, by keyset: a page reads as many rows as it shows, however many posts there are.

A key that is restricted to accounts sees posts that go to no other accounts. They are found by walking candidates from
the newest to the oldest, in stretches of growing length, and checking each one. Candidates come from whichever index
holds fewer: deliveries by account, or posts by status. Their totals are counted in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import find_value, row, rows
from pipeline.store.deliveries.ownership import ACCOUNTS, Accounts, restrict_posts
from pipeline.store.posts.views import POST_COLUMNS, PostView, attach_deliveries
from pipeline.store.rollups.time_buckets import END, EPOCH, IS_OVERDUE, count_all, count_between
from pipeline.store.selection import NEWEST, where_given

Position = tuple[datetime, UUID]
"""Where a page ends: when its last post was created, and its id."""
_CREATED = {"since": "created_at >= :since", "until": "created_at <= :until"}


def list_posts(
    c: Connection,
    workspace: UUID,
    *,
    status: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Position | None = None,
    limit: int = 50,
    accounts: Accounts = None,
) -> list[PostView]:
    """List the posts a key restricted to ``accounts`` sees, newest first. ``before``: the last post of the page before.

    ``pending`` includes scheduled posts whose time has come.
    """
    chosen = restrict_posts(workspace, accounts) & where_given(_CREATED, since=since, until=until)
    chosen = chosen & NEWEST.start_after(before)
    values = {**chosen.values, "n": limit, "status": status}
    if accounts is not None:
        newest = (until or END, _MAX_UUID)
        end = newest if before is None else min(newest, before)
        found = _list_restricted(c, str(chosen), {**values, "from_at": since or EPOCH}, end)
        return attach_deliveries(c, found)
    sql = _LISTS.get(status or "any", _LISTS["one"])
    return attach_deliveries(c, rows(c, sql.format(columns=POST_COLUMNS, where=chosen), **values))


_NEWEST = f"ORDER BY {NEWEST.order} LIMIT :n"
_LISTS = {
    "any": f"SELECT {{columns}} FROM posts WHERE {{where}} {_NEWEST}",
    "one": f"SELECT {{columns}} FROM posts WHERE {{where}} AND status = :status {_NEWEST}",
    # the sum keeps the planner from sorting all posts due later, which are nearly all of this status
    "scheduled": f"""SELECT {{columns}} FROM posts
                     WHERE {{where}} AND status = 'scheduled' AND due_at + interval '0' > now() {_NEWEST}""",
    # two queries, as each has an index and the union has none; overdue posts are few
    "pending": f"""WITH due AS MATERIALIZED (
                       SELECT * FROM posts WHERE {{where}} AND status = 'scheduled' AND {IS_OVERDUE})
                   SELECT {{columns}} FROM (
                       (SELECT * FROM posts WHERE {{where}} AND status = 'pending' {_NEWEST})
                       UNION ALL SELECT * FROM due) posts {_NEWEST}""",
}
"""Statements by status. ``rollups/time_buckets.py`` says why the bounds of overdue posts are written like this."""


# --- the posts of a restricted key -----------------------------------------------------------------------------------

CAP = 10_000
"""The most posts that a total counts."""
_MAX_SCANNED = 50_000
"""The most candidates that a total reads: of accounts shared with other keys, hardly any may be visible."""
_MAX_STRETCH = 10_000
"""The most candidates read at once, of each account."""
_MAX_UUID = UUID(int=2**128 - 1)
"""Sorts after every post's id, as no UUIDv7 has this value."""

_BY_ACCOUNT = f"""
    SELECT DISTINCT made, post FROM unnest({ACCOUNTS}) AS one (account), LATERAL (
        SELECT created_at AS made, post_id AS post FROM post_deliveries WHERE account_id = one.account
        AND created_at >= :from_at AND (created_at, post_id) < (:to_at, :to_id)
        ORDER BY created_at DESC, post_id DESC LIMIT :many) x
    ORDER BY made DESC, post DESC LIMIT :many"""
"""Candidates along the index ``deliveries_account``.

A visible post has a delivery with its own ``created_at``: one transaction creates both. Deliveries that edits add are
younger, and the check passes over them.
"""
_BY_STATUS = """
    SELECT created_at AS made, id AS post FROM posts
    WHERE workspace_id = :w AND status = :status AND deleted_at IS NULL
    AND created_at >= :from_at AND (created_at, id) < (:to_at, :to_id)
    ORDER BY created_at DESC, id DESC LIMIT :many"""
"""Candidates along the index ``posts_status``."""
_STRETCH = """
FROM ({candidates}) next,
LATERAL (SELECT * FROM posts WHERE id = next.post AND created_at = next.made AND {where} OFFSET 0) posts
ORDER BY next.made DESC, next.post DESC LIMIT :missing
"""
_PAGE = f"SELECT {POST_COLUMNS} {_STRETCH}"
_COUNT = f"""
SELECT status, count(*) AS n FROM (
    SELECT CASE WHEN status = 'scheduled' AND due_at <= now() THEN 'pending' ELSE status END AS status {_STRETCH}) x
GROUP BY status
"""
_LAST = "SELECT made, post FROM ({candidates}) next ORDER BY made DESC, post DESC LIMIT 1 OFFSET :many - 1"
"""The last candidate of a stretch, if the stretch is full."""
_OVERDUE = f"""
SELECT {POST_COLUMNS} FROM posts WHERE {{where}} AND status = 'scheduled' AND {IS_OVERDUE}
ORDER BY created_at + interval '0' DESC, id DESC LIMIT :n
"""
"""Overdue posts, by ``posts_waiting_by_due``; ``rollups/time_buckets.py`` says why the bounds are written like this."""
_STATUS_IS_RARER = f"""
SELECT p.n < (SELECT count(*) FROM (
    SELECT FROM unnest({ACCOUNTS}) AS one (account), LATERAL (
        SELECT FROM post_deliveries WHERE account_id = one.account LIMIT least(p.n + 1, :most)) x
    LIMIT least(p.n + 1, :most)) d) AS rarer
FROM (SELECT coalesce(sum(n), 0) AS n FROM post_counts WHERE workspace_id = :w AND status = :status) p
"""
"""True if the workspace has fewer posts of the status than the accounts have deliveries."""


def count_restricted(
    c: Connection, workspace: UUID, accounts: Sequence[UUID], since: datetime | None, until: datetime | None
) -> tuple[dict[str, int], bool]:
    """Count the newest visible posts by status, CAP at most. The flag: there may be more than were counted."""
    chosen = restrict_posts(workspace, accounts)
    sql = _COUNT.format(candidates=_BY_ACCOUNT, where=chosen)
    totals: dict[str, int] = {}
    counted = scanned = 0
    values = {**chosen.values, "from_at": since or EPOCH}
    stretch: dict[str, Any] | None = _first_stretch(values, (until or END, _MAX_UUID), CAP)
    while stretch is not None and counted < CAP and scanned < _MAX_SCANNED:
        for r in rows(c, sql, missing=CAP - counted, **stretch):
            totals[r.status] = totals.get(r.status, 0) + r.n
        counted, scanned = sum(totals.values()), scanned + stretch["many"]
        if counted < CAP:
            stretch = _next_stretch(c, _BY_ACCOUNT, stretch)
    return totals, stretch is not None


def _list_restricted(c: Connection, where: str, values: Mapping[str, Any], end: Position) -> list[Any]:
    """Return up to ``n`` rows of POST_COLUMNS for which ``where`` holds, newest first; ``status`` None: any."""
    if values["status"] is None:
        return _walk(c, _BY_ACCOUNT, where, values, end)
    if values["status"] == "pending":
        found = [*rows(c, _OVERDUE.format(where=where), **values), *_walk_status(c, where, values, end)]
        return sorted(found, key=lambda r: (r.created_at, r.id), reverse=True)[: values["n"]]
    if values["status"] == "scheduled":
        where = f"due_at > now() AND {where}"
    return _walk_status(c, where, values, end)


def _walk_status(c: Connection, where: str, values: Mapping[str, Any], end: Position) -> list[Any]:
    is_rarer = find_value(c, bool, _STATUS_IS_RARER, most=_MAX_SCANNED, **values)
    candidates = _BY_STATUS if is_rarer else _BY_ACCOUNT
    return _walk(c, candidates, f"status = :status AND {where}", values, end)


def _walk(c: Connection, candidates: str, where: str, values: Mapping[str, Any], end: Position) -> list[Any]:
    found: list[Any] = []
    sql = _PAGE.format(candidates=candidates, where=where)
    # a quarter more than a page holds is mostly enough
    stretch: dict[str, Any] | None = _first_stretch(values, end, values["n"] * 5 // 4 + 8)
    while stretch is not None and len(found) < values["n"]:
        found += rows(c, sql, missing=values["n"] - len(found), **stretch)
        stretch = _next_stretch(c, candidates, stretch) if len(found) < values["n"] else None
    return found


def _first_stretch(values: Mapping[str, Any], end: Position, many: int) -> dict[str, Any]:
    return {**values, "to_at": end[0], "to_id": end[1], "many": many}


def _next_stretch(c: Connection, candidates: str, stretch: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the older stretch after this one, twice as long; None if this one holds the oldest candidate."""
    last = row(c, _LAST.format(candidates=candidates), **stretch)
    if last is None:
        return None
    return {
        **stretch,
        "to_at": last.made,
        "to_id": last.post,
        "many": min(2 * stretch["many"], _MAX_STRETCH),
    }


@dataclass(frozen=True, slots=True)
class Totals:
    """Posts by public status; statuses without posts are left out."""

    by_status: Mapping[str, int]
    is_capped: bool = False
    """There may be more posts than were counted."""


def count_by_status(
    c: Connection,
    workspace: UUID,
    since: datetime | None = None,
    until: datetime | None = None,
    accounts: Accounts = None,
) -> Totals:
    """Count the posts that were created from ``since`` to ``until`` and that a key restricted to ``accounts`` sees."""
    if accounts is not None:
        return Totals(*count_restricted(c, workspace, accounts, since, until))
    if since is None and until is None:
        return Totals(count_all(c, workspace))
    return Totals(count_between(c, workspace, since, until))
