"""Inserts of new posts, one or many: a few queries about all of them, and one statement that stores them.

Neighbours of posts are found by two indexes on accounts and due times: of what waits, and of everything else.

Lists travel as PostgreSQL array literals, one text each: the driver's own list adapter costs more than the insert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.neighbours import EMPTY, MOST, Content, Match, Neighbour, Part
from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import NO_TIME
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow, to_account_row
from pipeline.store.database import (
    rows,
    write_bytes,
    write_ids,
    write_jsons,
    write_texts,
    write_times,
    write_words,
)
from pipeline.store.deliveries.daily_quota import DailyQuota, build_planned
from pipeline.store.posts.idempotency import select_repeat
from pipeline.store.posts.options import COLUMNS, PLATFORMS, Options


@dataclass(kw_only=True, slots=True)  # frozen ones take half as long again to make (measured)
class NewPost:
    """A post that passed every rule, ready to be stored."""

    id: UUID
    workspace_id: UUID
    key_id: UUID | None
    import_id: UUID | None = None
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    options: Options
    ai_generated: bool = False
    first_comment: str | None = None
    level: int = 1
    due_at: datetime
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
    return {r.id: (r.version, to_account_row(r)) for r in rows(c, sql, ids=write_ids(ids))}


_ARRAYS = (
    ", ".join(f":{platform}::jsonb[]" for platform in PLATFORMS)
    + ", :ai_generated::boolean[], :first_comment::text[]"
)

_TAKEN = f"""
    INSERT INTO replays (workspace_id, token, fingerprint, post_id)
    SELECT w, token, print, id
    FROM unnest(:id::uuid[], :workspace::uuid[], :token::text[], :print::bytea[]) AS x (id, w, token, print)
    WHERE token IS NOT NULL ORDER BY w, token
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
    SELECT id, w, k, caption, media, music, {COLUMNS}, due, expires, late,
           CASE WHEN due < '{NO_TIME}' THEN 'scheduled' ELSE 'draft' END, external, request, import
    FROM unnest(:id::uuid[], :workspace::uuid[], :key::uuid[], :token::text[], :caption::text[], :media::jsonb[],
                :music::text[], {_ARRAYS}, :due::timestamptz[], :expires::timestamptz[], :late::text[],
                :external::text[], :request::text[], :import::uuid[])
         AS x (id, w, k, token, caption, media, music, {COLUMNS}, due, expires, late, external, request, import)
    WHERE (token IS NULL OR id IN (SELECT post_id FROM taken))
    RETURNING id, workspace_id, due_at),
delivery AS (
    INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, level,
                            inbox_draft, own, caption_digest, media_digest)
    SELECT x.id, post.id, post.workspace_id, account, platform, state, due, next, level, draft, own, words, shown
    FROM unnest(:d_id::uuid[], :d_post::integer[], :d_account::uuid[], :d_platform::text[], :d_state::text[],
                :d_next::timestamptz[], :d_level::smallint[], :d_draft::boolean[],
                :d_due::timestamptz[], :d_own::jsonb[], :d_caption::bigint[], :d_media::bigint[])
         AS x (id, p, account, platform, state, next, level, draft, due, own, words, shown)
    JOIN post ON post.id = (:id::uuid[])[x.p]
    RETURNING id, state),
moved AS (
    INSERT INTO moves (delivery_id, mover, target, generation, fence) SELECT id, 'ingest', state, 0, 0 FROM delivery),
unapproved AS (
    INSERT INTO approvals (post_id, workspace_id, author, editor)
    SELECT id, workspace_id, author, author
    FROM unnest(:id::uuid[], :author::text[]) AS x (id, author) JOIN post USING (id) WHERE author IS NOT NULL),
pinned AS (
    INSERT INTO post_checks (post_id, position, check_id)
    SELECT post.id, n, k FROM unnest(:c_post::integer[], :c_position::integer[], :c_check::uuid[]) AS x (p, n, k)
    JOIN post ON post.id = (:id::uuid[])[x.p])
SELECT 0 AS i, NULL::bigint AS planned, id, NULL::integer AS match, NULL::timestamptz AS due_at FROM post
UNION ALL
SELECT i, {build_planned("account_id = x.a", "x.due", "x.drafts", "x.most")}, NULL, NULL, NULL
FROM unnest(:a_id::uuid[], :a_due::timestamptz[], :a_drafts::boolean[], :a_most::integer[]) WITH ORDINALITY
     AS x (a, due, drafts, most, i)
UNION ALL
SELECT x.i, NULL, n.post_id, n.match, n.due_at
FROM unnest(:d_account::uuid[], :d_due::timestamptz[], :d_gap::interval[], :d_caption::bigint[], :d_media::bigint[])
     WITH ORDINALITY AS x (account, due, gap, caption, media, i), {build_neighbours("NULL::uuid")} n
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
        **_post_columns(posts),
        **_part_columns(posts, gaps),
        a_id=write_ids(a for a, _, _ in days),
        a_due=write_times(due for _, due, _ in days),
        a_drafts=write_words(quota.drafts for _, _, quota in days),
        a_most=write_words(quota.too_many for _, _, quota in days),
    )
    planned = {r.i: r.planned for r in found if r.planned is not None}
    parts = [(n, one.account_id) for n, post in enumerate(posts) for one in post.deliveries]
    near: dict[tuple[int, UUID], list[Neighbour]] = defaultdict(list)
    for r in found:
        if r.match is not None:
            near[parts[r.i - 1]].append(Neighbour(r.match, r.id, r.due_at))
    stored = {r.id for r in found if r.i == 0}
    return stored, [planned[i] for i in range(1, len(days) + 1)], near


def _post_columns(posts: Sequence[NewPost]) -> dict[str, str]:
    return {
        "id": write_ids([p.id for p in posts]),
        "workspace": write_ids([p.workspace_id for p in posts]),
        "key": write_ids([p.key_id for p in posts]),
        "token": write_texts([p.replay_token for p in posts]),
        "print": write_bytes([p.fingerprint for p in posts]),
        "caption": write_texts([p.caption for p in posts]),
        "media": write_jsons([p.media for p in posts]),
        "music": write_texts([p.music_url for p in posts]),
        **{platform.value: write_jsons([p.options.get(platform) for p in posts]) for platform in PLATFORMS},
        "ai_generated": write_words([p.ai_generated for p in posts]),
        "first_comment": write_texts([p.first_comment for p in posts]),
        "due": write_times([p.due_at for p in posts]),
        "expires": write_times([p.expires_at for p in posts]),
        "late": write_words([p.on_late for p in posts]),
        "external": write_texts([p.external_id for p in posts]),
        "request": write_texts([p.request_id for p in posts]),
        "import": write_ids([p.import_id for p in posts]),
        "author": write_texts([p.unapproved for p in posts]),
    }


def _part_columns(posts: Sequence[NewPost], gaps: Mapping[UUID, timedelta]) -> dict[str, str]:
    """Deliveries and pins; each refers to its post by the position in the list."""
    parts = [(i, p, d) for i, p in enumerate(posts, 1) for d in p.deliveries]
    pins = [(i, n, check) for i, p in enumerate(posts, 1) for n, check in p.checks.items()]
    return {
        "d_id": write_ids([d.id for *_, d in parts]),
        "d_post": write_words([i for i, *_ in parts]),
        "d_account": write_ids([d.account_id for *_, d in parts]),
        "d_platform": write_words([d.platform for *_, d in parts]),
        "d_state": write_words([d.state for *_, d in parts]),
        "d_next": write_times([d.next_at for *_, d in parts]),
        "d_level": write_words([p.level for _, p, _ in parts]),
        "d_draft": write_words([d.inbox_draft for *_, d in parts]),
        "d_due": write_times([d.due_at or p.due_at for _, p, d in parts]),
        "d_own": write_jsons([None if d.own is None else d.own.to_dict() for *_, d in parts]),
        "d_caption": write_numbers([d.content.caption for *_, d in parts]),
        "d_media": write_numbers([d.content.media for *_, d in parts]),
        "d_gap": write_gaps([gaps.get(d.account_id) if p.due_at < NO_TIME else None for _, p, d in parts]),
        "c_post": write_words([i for i, _, _ in pins]),
        "c_position": write_words([n for _, n, _ in pins]),
        "c_check": write_ids([check for _, _, check in pins]),
    }


_FIND = f"""
SELECT x.i, n.* FROM unnest(:post::uuid[], :account::uuid[], :due::timestamptz[], :gap::interval[], :caption::bigint[],
                            :media::bigint[]) WITH ORDINALITY AS x (post, account, due, gap, caption, media, i),
     {build_neighbours("x.post")} n
"""


def find_neighbours(c: Connection, parts: Sequence[Part]) -> dict[int, list[Neighbour]]:
    """Return the nearest stored neighbours of parts, by position: one of each sum of matches."""
    if not parts:
        return {}
    found: dict[int, list[Neighbour]] = defaultdict(list)
    for r in rows(
        c,
        _FIND,
        post=write_ids(None if isinstance(p.post, int) else p.post for p in parts),
        account=write_ids(p.account_id for p in parts),
        due=write_times(p.due_at for p in parts),
        gap=write_gaps(p.least_gap for p in parts),
        caption=write_numbers(p.content.caption for p in parts),
        media=write_numbers(p.content.media for p in parts),
    ):
        found[r.i - 1].append(Neighbour(r.match, r.post_id, r.due_at))
    return found


def write_gaps(gaps: Iterable[timedelta | None]) -> str:
    """Write intervals in seconds as an array literal."""
    return write_numbers(None if gap is None else gap.days * 86_400 + gap.seconds for gap in gaps)


def write_numbers(numbers: Iterable[int | None]) -> str:
    """Write numbers as an array literal."""
    return write_words("NULL" if number is None else number for number in numbers)
