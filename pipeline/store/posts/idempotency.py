"""Idempotency tokens: which post an earlier request with the same ``external_id``, or an equal body, has made.

Also reads whether requests other than imports make posts now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED
from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import OPEN
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow
from pipeline.store.arrays import Records, write_ids
from pipeline.store.checks.checks import Check
from pipeline.store.database import build, has_row, read_column, rows
from pipeline.store.posts.options import CONTENT, PostContent, gather_options
from pipeline.store.posts.views import SCHEDULED_AT
from pipeline.store.selection import among

MOST = 5_000
"""Posts that are looked at."""
REPEAT = "sha256(convert_to(concat_ws(' ', {platform}, {remote_id}, {external_id}), 'UTF8'))"
"""SQL of what a repeat of a post that is or may be live is recognised by: its account at the platform, and its id."""


def has_requests(c: Connection, since: datetime) -> bool:
    """Return whether one of the newest posts, made after *since*, is of no import.

    It walks along the ids, which begin with the time (`new_id`); the order keeps the planner from scanning the table.
    """
    return has_row(
        c,
        """SELECT import_id FROM (SELECT import_id FROM posts WHERE id > :since ORDER BY id DESC LIMIT :most) newest
           WHERE import_id IS NULL LIMIT 1""",
        since=UUID(int=int(since.timestamp() * 1000) << 80),
        most=MOST,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The post that an earlier request with the same token made."""

    post_id: UUID
    fingerprint: bytes
    status: str
    due_at: datetime
    scheduled_at: datetime
    deleted: bool
    now: datetime


@dataclass(kw_only=True, slots=True)
class OpenPost(PostContent):
    """A post that is still to be published, and the accounts that wait for it."""

    accounts: Sequence[AccountRow]
    dues: Mapping[UUID, datetime]
    """By account."""
    own: Mapping[UUID, OwnContent]
    checks: Mapping[int, Check]


def select_current(replay: str) -> str:
    """Return SQL for whether an equal body is a repeat: within the window, and the post is as its request asked for.

    It is so again if its cancel was undone by a transaction that this statement waited for, and does not see.
    ``replay``: a row of ``replays``. Uses the parameter ``window``.
    """
    # no EXISTS: of many rows that is planned as a hash of the whole table
    return f"""({replay}.created_at > now() - CAST(:window AS interval) AND (
        (NOT pg_visible_in_snapshot({replay}.kept_in, pg_current_snapshot())) IS TRUE OR (
        SELECT p.deleted_at IS NULL AND p.status NOT IN ('canceled', 'failed')
               AND (SELECT true FROM rewrites WHERE post_id = p.id LIMIT 1) IS NULL
               AND (SELECT true FROM post_deliveries WHERE post_id = p.id AND state = 'cancelled' LIMIT 1) IS NULL
        FROM posts p WHERE p.id = {replay}.post_id) IS NOT FALSE))"""


def select_repeat(replay: str) -> str:
    """Return SQL for whether a request with the token of *replay*, a row of ``replays``, is a repeat.

    An equal body is a repeat while it is current, a row of an import until its post is deleted, an ``external_id`` for
    ever, but for an import after a rollback has released it. Uses the parameters ``window`` and ``importing``.
    """
    kept = f"(SELECT deleted_at IS NULL FROM posts WHERE id = {replay}.post_id)"
    return f"""(CASE WHEN {replay}.token LIKE 'body:%' THEN {select_current(replay)}
                     WHEN {replay}.token LIKE 'row:%' THEN {kept} IS NOT FALSE
                     ELSE NOT ({replay}.released AND CAST(:importing AS boolean)) END)"""


_TOKENS = Records("w uuid, t text")


def find_replays(
    c: Connection, tokens: Sequence[tuple[UUID, str]], window: timedelta, *, importing: bool
) -> dict[tuple[UUID, str], Replay]:
    """Return the earlier posts of these tokens, by workspace and token. ``importing``: rows of imports ask.

    A token made of a body counts only within the window, and only while its post is as the request asked for; one of a
    row of an import until the post is deleted.
    """
    found = rows(
        c,
        # LATERAL and LIMIT: a plan made while the tables were small would read them whole when they have grown
        f"""SELECT r.workspace_id, r.token, r.post_id, r.fingerprint, p.status, p.due_at, p.scheduled_at,
                   p.deleted_at IS NOT NULL AS deleted, now() AS now
            FROM {_TOKENS},
                 LATERAL (SELECT * FROM replays WHERE workspace_id = x.w AND token = x.t LIMIT 1) r,
                 LATERAL (SELECT *, {SCHEDULED_AT} FROM posts p WHERE id = r.post_id LIMIT 1) p
            WHERE {select_repeat("r")}""",
        **_TOKENS.bind(tokens),
        window=window,
        importing=importing,
    )
    return {(r.workspace_id, r.token): build(Replay, r) for r in found}


_NAMED = Records("n integer, platform text, remote_id text, external_id text")


def find_erased(c: Connection, named: Collection[tuple[int, str, str, str | None]]) -> set[int]:
    """Return the numbers of those that a tombstone has: each with platform, account there, and external id."""
    asked = REPEAT.format(platform="x.platform", remote_id="x.remote_id", external_id="x.external_id")
    sql = f"SELECT DISTINCT x.n FROM {_NAMED} JOIN tombstones t ON t.repeat_sha256 = {asked}"
    return set(read_column(c, sql, **_NAMED.bind(named)))


def find_posts_sent_as(c: Connection, external_id: str, workspaces: Collection[UUID] | None) -> list[UUID]:
    """Return the posts that keys of these workspaces (None: of all) have sent with this ``external_id``.

    A key that is restricted to accounts has tokens of its own (``Caller.realm``); all of them are looked for.
    """
    of_workspace, of_key = among("id", workspaces), among("workspace_id", workspaces)
    return read_column(
        c,
        # LATERAL and LIMIT: as above
        f"""SELECT r.post_id FROM (
                SELECT id AS workspace, 'id:' || CAST(:id AS text) AS token FROM workspaces
                WHERE {of_workspace}
                UNION SELECT workspace_id, format('bound:%s:%s', left(encode(sha256(decode(
                    replace(array_to_string(accounts, ''), '-', ''), 'hex')), 'hex'), 32), CAST(:id AS text))
                FROM keys WHERE accounts IS NOT NULL AND {of_key}) x,
            LATERAL (SELECT post_id FROM replays WHERE workspace_id = x.workspace AND token = x.token LIMIT 1) r""",
        id=external_id,
        **of_key.values,
    )


def list_open_posts(c: Connection, workspace: UUID, key: UUID | None = None) -> list[UUID]:
    """Return the posts of a key, or of all of the workspace, that are still to be published, oldest first."""
    sql = """SELECT id FROM posts WHERE workspace_id = :w AND key_id IS NOT DISTINCT FROM coalesce(:key, key_id)
               AND status = ANY (:open) AND deleted_at IS NULL ORDER BY id"""
    return read_column(c, sql, w=workspace, key=key, open=[*map(str, OPEN)])


def read_open_posts(c: Connection, posts: Collection[UUID]) -> list[OpenPost]:
    """Return posts with the accounts whose deliveries are unsettled, and the checks they pin."""
    if not posts:
        return []
    ids = write_ids(posts)
    contents = rows(c, f"SELECT {CONTENT} FROM posts WHERE id = ANY(:ids::uuid[])", ids=ids)
    accounts: dict[UUID, list[AccountRow]] = defaultdict(list)
    dues: dict[UUID, dict[UUID, datetime]] = defaultdict(dict)
    own: dict[UUID, dict[UUID, OwnContent]] = defaultdict(dict)
    for r in rows(
        c,
        f"""SELECT d.post_id, d.due_at, d.own, a.* FROM post_deliveries d,
                   LATERAL (SELECT {ACCOUNT_FIELDS} FROM accounts WHERE id = d.account_id LIMIT 1) a
            WHERE d.post_id = ANY(:ids::uuid[]) AND d.state <> ALL (:settled) ORDER BY d.id""",
        ids=ids,
        settled=[*map(str, SETTLED)],
    ):
        accounts[r.post_id].append(build(AccountRow, r))
        dues[r.post_id][r.id] = r.due_at
        if (content := OwnContent.from_dict(r.own)) is not None:
            own[r.post_id][r.id] = content
    checks: dict[UUID, dict[int, Check]] = defaultdict(dict)
    for r in rows(
        c,
        """SELECT pc.post_id, pc.position, k.* FROM post_checks pc,
                  LATERAL (SELECT id, purpose, url, verdict, facts, seen FROM checks WHERE id = pc.check_id LIMIT 1) k
           WHERE pc.post_id = ANY(:ids::uuid[]) ORDER BY pc.position""",
        ids=ids,
    ):
        checks[r.post_id][r.position] = build(Check, r)
    return [
        OpenPost(
            **gather_options(r._mapping),
            accounts=accounts[r.id],
            dues=dues[r.id],
            own=own[r.id],
            checks=checks[r.id],
        )
        for r in contents
    ]
