"""Inserts of new posts, one or many: a few queries about all of them, and one statement that stores them.

Neighbours of posts are found by two indexes on accounts and due times: of what waits, and of everything else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.neighbours import EMPTY, MOST, Content, Match, Neighbour, Part
from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import NO_TIME
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow
from pipeline.store.arrays import Records, write_ids
from pipeline.store.database import build, rows
from pipeline.store.deliveries.daily_quota import DailyQuota, build_planned
from pipeline.store.posts.idempotency import select_repeat
from pipeline.store.posts.options import COLUMNS, PLATFORMS, PostContent


@dataclass(kw_only=True, slots=True)
class NewPost(PostContent):
    """A post that passed every rule, ready to be stored."""

    key_id: UUID | None
    import_id: UUID | None = None
    level: int = 1
    expires_at: datetime | None
    on_late: str
    external_id: str | None
    replay_token: str | None
    """The token that a repeat is recognised by; None = never taken for one."""
    fingerprint: bytes
    checks: Mapping[int, UUID]
    """Pinned checks by media position; -1 is the music."""
    deliveries: Sequence[NewDelivery]
    request_id: str | None = None
    """The id of the request that makes it, for the log of what becomes of it."""
    unapproved: str | None = None
    """Its author, if it is sent only with an approval."""


@dataclass(kw_only=True, slots=True)
class NewDelivery:
    """One account's part of a new post."""

    id: UUID
    account_id: UUID
    platform: str
    state: str
    next_at: datetime
    inbox_draft: bool = False
    due_at: datetime | None = None
    """None: when its post is due."""
    own: OwnContent | None = None
    content: Content = EMPTY
    """The digests of what the account publishes."""


_WAITING = "state IN ('accepted', 'scheduled', 'retrying')"
_OTHERS = "state NOT IN ('accepted', 'scheduled', 'retrying')"
_FROM, _TO = (
    "due_at >= x.due - greatest(x.gap, interval '1 day')",
    "due_at <= x.due + greatest(x.gap, interval '1 day')",
)
_READ = " UNION ALL ".join(
    f"""(SELECT post_id, due_at, state, caption_digest, media_digest FROM post_deliveries
         WHERE account_id = x.account AND {condition} LIMIT {MOST})"""
    for condition in (
        f"{_WAITING} AND {_FROM} AND due_at < x.due ORDER BY due_at DESC",
        f"{_WAITING} AND due_at >= x.due AND {_TO} ORDER BY due_at",
        f"{_OTHERS} AND {_FROM} AND {_TO} ORDER BY due_at DESC",
    )
)
_IS_CLOSE = "(d.due_at = x.due OR d.due_at > x.due - x.gap AND d.due_at < x.due + x.gap)"
_IS_NEAR = "d.due_at > x.due - interval '1 day' AND d.due_at < x.due + interval '1 day'"


def build_neighbours(post: str) -> str:
    """Return the LATERAL query of the nearest neighbours of ``x``: account, due, gap, caption and media.

    Of each sum of matches one is found. At most ``MOST`` deliveries that wait are read on each side of the time, and
    as many of the others, the latest: of these, failed and canceled ones are no neighbours, nor are those of *post*.
    """
    return f"""LATERAL (
        SELECT DISTINCT ON (match) match, post_id, due_at FROM (
            SELECT CASE WHEN {_IS_CLOSE} THEN {Match.GAP:d} ELSE 0 END + CASE WHEN {_IS_NEAR} THEN
                       CASE WHEN d.caption_digest = x.caption THEN {Match.CAPTION:d} ELSE 0 END
                       + CASE WHEN d.media_digest = x.media THEN {Match.MEDIA:d} ELSE 0 END ELSE 0 END AS match, d.*
            FROM ({_READ}) d
            WHERE ({_IS_CLOSE} OR d.caption_digest = x.caption OR d.media_digest = x.media)
              AND d.state NOT IN ('failed', 'cancelled') AND d.post_id IS DISTINCT FROM {post}) d
        WHERE match > 0 ORDER BY match, greatest(due_at - x.due, x.due - due_at))"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """The row versions of accounts, which are their ``xmin``, by the database's clock."""

    now: datetime
    of: Mapping[UUID, str]
    has_erased: bool
    """Whether a workspace was ever erased: only then are its tombstones looked through."""


def find_versions(c: Connection, ids: Iterable[UUID]) -> Versions:
    """Return the versions of these accounts, of whatever workspace; unknown ones are missing."""
    found = rows(
        c,
        """SELECT now() AS now, (SELECT true FROM tombstones LIMIT 1) IS NOT NULL AS has_erased, a.*
           FROM (VALUES (1)) AS one LEFT JOIN (
               SELECT id, xmin::text AS version FROM accounts WHERE id = ANY(:ids::uuid[])) a ON true""",
        ids=write_ids(ids),
    )
    versions = {r.id: r.version for r in found if r.id is not None}
    return Versions(now=found[0].now, of=versions, has_erased=found[0].has_erased)


def find_accounts(c: Connection, ids: Iterable[UUID]) -> dict[UUID, tuple[str, AccountRow]]:
    """Return these accounts, of whatever workspace, each with its row version."""
    sql = f"SELECT xmin::text AS version, {ACCOUNT_FIELDS} FROM accounts WHERE id = ANY(:ids::uuid[])"
    return {r.id: (r.version, build(AccountRow, r)) for r in rows(c, sql, ids=write_ids(ids))}


_POSTS = Records(
    "id uuid, workspace_id uuid, key_id uuid, replay_token text, fingerprint bytea, caption text, media jsonb, "
    "music_url text, options jsonb, ai_generated boolean, first_comment text, due_at timestamptz, "
    "expires_at timestamptz, on_late text, external_id text, request_id text, import_id uuid, unapproved text",
    prefix="post_",
)
_DELIVERIES = Records(
    "id uuid, post integer, account uuid, platform text, state text, next timestamptz, level smallint, "
    "draft boolean, due timestamptz, own jsonb, caption bigint, media bigint, gap interval",
    prefix="delivery_",
)
_PINS = Records("post integer, position integer, check_id uuid", prefix="pin_")
_DAYS = Records("a uuid, due timestamptz, drafts boolean, most integer", prefix="day_")
_SECTIONS = ", ".join(f"options -> '{platform}'" for platform in PLATFORMS)

_TAKEN = f"""
    INSERT INTO replays (workspace_id, token, fingerprint, post_id)
    SELECT workspace_id, replay_token, fingerprint, id
    FROM {_POSTS} WHERE replay_token IS NOT NULL ORDER BY workspace_id, replay_token
    ON CONFLICT (workspace_id, token) DO UPDATE
        SET post_id = excluded.post_id, created_at = now(), fingerprint = excluded.fingerprint,
            released = false
        WHERE NOT {select_repeat("replays")}
    RETURNING *"""


_STORE = f"""
WITH taken AS ({_TAKEN}),
post AS (
    INSERT INTO posts (id, workspace_id, key_id, caption, media, music_url, {COLUMNS}, due_at, expires_at,
                       on_late, status, external_id, request_id, import_id)
    SELECT id, workspace_id, key_id, caption, media, music_url, {_SECTIONS}, ai_generated, first_comment, due_at,
           expires_at, on_late, CASE WHEN due_at < '{NO_TIME}' THEN 'scheduled' ELSE 'draft' END, external_id,
           request_id, import_id
    FROM {_POSTS} WHERE (replay_token IS NULL OR id IN (SELECT post_id FROM taken))
    RETURNING id, workspace_id, due_at),
delivery AS (
    INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, level,
                            inbox_draft, own, caption_digest, media_digest)
    SELECT x.id, post.id, post.workspace_id, account, platform, state, due, next, level, draft, own, caption, media
    FROM {_DELIVERIES} JOIN post ON post.id = (:post_id::uuid[])[x.post]
    RETURNING id, state),
moved AS (
    INSERT INTO moves (delivery_id, mover, target, generation, fence) SELECT id, 'ingest', state, 0, 0 FROM delivery),
unapproved AS (
    INSERT INTO approvals (post_id, workspace_id, author, editor)
    SELECT id, workspace_id, unapproved, unapproved FROM {_POSTS} WHERE unapproved IS NOT NULL
      AND id IN (SELECT id FROM post)),
pinned AS (
    INSERT INTO post_checks (post_id, position, check_id)
    SELECT post.id, position, check_id FROM {_PINS} JOIN post ON post.id = (:post_id::uuid[])[x.post])
SELECT 0 AS i, NULL::bigint AS planned, id, NULL::integer AS match, NULL::timestamptz AS due_at FROM post
UNION ALL
SELECT i, {build_planned("account_id = x.a", "x.due", "x.drafts", "x.most")}, NULL, NULL, NULL
FROM {_DAYS.number("i")}
UNION ALL
SELECT x.i, NULL, n.post_id, n.match, n.due_at
FROM {_DELIVERIES.number("i")}, {build_neighbours("NULL::uuid")} n
WHERE x.gap IS NOT NULL
"""


def store_posts(
    c: Connection,
    posts: Sequence[NewPost],
    window: timedelta,
    days: Sequence[tuple[UUID, datetime, DailyQuota]] = (),
    gaps: Mapping[UUID, timedelta] = MappingProxyType({}),
) -> tuple[set[UUID], list[int], dict[tuple[int, UUID], list[Neighbour]]]:
    """Store posts with their replay tokens, deliveries and pins in one statement; return the ids of the stored posts.

    A post is left out when an equal request has its token already; one that is being stored is waited for. No two of
    the posts may share a token. Tokens are taken in their own order, so that two batches never wait for each other.

    ``days``: accounts, due times and quotas. For each, the second result counts as ``count_planned`` what the account
    has sent or is still to send in the 24 hours before; the new posts are not counted (every part of a statement sees
    the tables as before it).

    ``gaps``: the least gaps of the accounts whose neighbours are looked for. The third result has what
    ``find_neighbours`` finds, by the position of the post and account; drafts have none.
    """
    found = rows(
        c,
        _STORE,
        window=window,
        importing=any(p.import_id for p in posts),
        **_POSTS.bind(posts),
        **_DELIVERIES.bind(_list_parts(posts, gaps)),
        **_PINS.bind((i, n, check) for i, p in enumerate(posts, 1) for n, check in p.checks.items()),
        **_DAYS.bind((a, due, quota.drafts, quota.too_many) for a, due, quota in days),
    )
    planned = {r.i: r.planned for r in found if r.planned is not None}
    parts = [(n, one.account_id) for n, post in enumerate(posts) for one in post.deliveries]
    near: dict[tuple[int, UUID], list[Neighbour]] = defaultdict(list)
    for r in found:
        if r.match is not None:
            near[parts[r.i - 1]].append(Neighbour(r.match, r.id, r.due_at))
    stored = {r.id for r in found if r.i == 0}
    return stored, [planned[i] for i in range(1, len(days) + 1)], near


def _list_parts(posts: Sequence[NewPost], gaps: Mapping[UUID, timedelta]) -> Iterator[tuple[Any, ...]]:
    """Yield the deliveries; each refers to its post by the position in the list."""
    for number, post in enumerate(posts, 1):
        for one in post.deliveries:
            yield (
                one.id,
                number,
                one.account_id,
                one.platform,
                one.state,
                one.next_at,
                post.level,
                one.inbox_draft,
                one.due_at or post.due_at,
                None if one.own is None else one.own.to_dict(),
                *one.content,
                gaps.get(one.account_id) if post.due_at < NO_TIME else None,
            )


_PARTS = Records(
    "post uuid, account uuid, due timestamptz, gap interval, caption bigint, media bigint", prefix="part_"
)
_FIND = f"""
SELECT x.i, n.* FROM {_PARTS.number("i")}, {build_neighbours("x.post")} n
"""


def find_neighbours(c: Connection, parts: Sequence[Part]) -> dict[int, list[Neighbour]]:
    """Return the nearest stored neighbours of parts, by position: one of each sum of matches."""
    if not parts:
        return {}
    found: dict[int, list[Neighbour]] = defaultdict(list)
    records = (
        (None if isinstance(p.post, int) else p.post, p.account_id, p.due_at, p.least_gap, *p.content)
        for p in parts
    )
    for r in rows(c, _FIND, **_PARTS.bind(records)):
        found[r.i - 1].append(Neighbour(r.match, r.post_id, r.due_at))
    return found
