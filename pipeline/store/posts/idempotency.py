"""Idempotency tokens: which post an earlier request with the same ``external_id``, or an equal body, has made.

Also reads whether requests other than imports make posts now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow, to_account_row
from pipeline.store.array_literals import write_ids, write_texts
from pipeline.store.checks.checks import Check
from pipeline.store.database import row, rows
from pipeline.store.posts.options import COLUMNS, Options, gather_options
from pipeline.store.posts.pins import to_check

MOST = 5_000
"""Posts that are looked at."""


def has_requests(c: Connection, since: datetime) -> bool:
    """Return whether one of the newest posts, made after *since*, is of no import.

    It walks along the ids, which begin with the time (`new_id`); the order keeps the planner from scanning the table.
    """
    found = row(
        c,
        """SELECT import_id FROM (SELECT import_id FROM posts WHERE id > :since ORDER BY id DESC LIMIT :most) newest
           WHERE import_id IS NULL LIMIT 1""",
        since=UUID(int=int(since.timestamp() * 1000) << 80),
        most=MOST,
    )
    return found is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The post that an earlier request with the same token made."""

    post_id: UUID
    fingerprint: bytes
    status: str
    due_at: datetime
    deleted: bool
    now: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPost:
    """A post that is still to be published, and the accounts that wait for it."""

    id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    options: Options
    ai_generated: bool
    due_at: datetime
    accounts: Sequence[AccountRow]
    checks: Mapping[int, Check]


def select_current(replay: str) -> str:
    """Return SQL for whether an equal body is a repeat: within the window, and the post is as its request asked for.

    ``replay``: a row of ``replays``. Uses the parameter ``window``.
    """
    # no EXISTS: of many rows that is planned as a hash of the whole table
    return f"""({replay}.created_at > now() - CAST(:window AS interval) AND (
        SELECT p.deleted_at IS NULL AND p.status NOT IN ('canceled', 'failed')
               AND (SELECT true FROM rewrites WHERE post_id = p.id LIMIT 1) IS NULL
               AND (SELECT true FROM deliveries WHERE post_id = p.id AND state = 'cancelled' LIMIT 1) IS NULL
        FROM posts p WHERE p.id = {replay}.post_id) IS NOT FALSE)"""


def select_repeat(replay: str) -> str:
    """Return SQL for whether a request with the token of *replay*, a row of ``replays``, is a repeat.

    An equal body is a repeat while it is current, a row of an import until its post is deleted, an ``external_id`` for
    ever, but for an import after a rollback has released it. Uses the parameters ``window`` and ``importing``.
    """
    kept = f"(SELECT deleted_at IS NULL FROM posts WHERE id = {replay}.post_id)"
    return f"""(CASE WHEN {replay}.token LIKE 'body:%' THEN {select_current(replay)}
                     WHEN {replay}.token LIKE 'row:%' THEN {kept} IS NOT FALSE
                     ELSE NOT ({replay}.released AND CAST(:importing AS boolean)) END)"""


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
        f"""SELECT r.workspace_id, r.token, r.post_id, r.fingerprint, p.status, p.due_at,
                   p.deleted_at IS NOT NULL AS deleted, now() AS now
            FROM unnest(:w::uuid[], :t::text[]) AS x (w, t),
                 LATERAL (SELECT * FROM replays WHERE workspace_id = x.w AND token = x.t LIMIT 1) r,
                 LATERAL (SELECT * FROM posts WHERE id = r.post_id LIMIT 1) p
            WHERE {select_repeat("r")}""",
        w=write_ids(w for w, _ in tokens),
        t=write_texts(t for _, t in tokens),
        window=window,
        importing=importing,
    )
    return {
        (r.workspace_id, r.token): Replay(
            post_id=r.post_id,
            fingerprint=bytes(r.fingerprint),
            status=r.status,
            due_at=r.due_at,
            deleted=r.deleted,
            now=r.now,
        )
        for r in found
    }


def read_open_posts(c: Connection, posts: Collection[UUID]) -> list[OpenPost]:
    """Return posts with the accounts whose deliveries are unsettled, and the checks they pin."""
    if not posts:
        return []
    ids = write_ids(posts)
    contents = rows(
        c,
        f"SELECT id, caption, media, music_url, {COLUMNS}, due_at FROM posts WHERE id = ANY(:ids::uuid[])",
        ids=ids,
    )
    accounts: dict[UUID, list[AccountRow]] = {}
    for r in rows(
        c,
        f"""SELECT d.post_id, a.* FROM deliveries d,
                   LATERAL (SELECT {ACCOUNT_FIELDS} FROM accounts WHERE id = d.account_id LIMIT 1) a
            WHERE d.post_id = ANY(:ids::uuid[]) AND d.state <> ALL (:settled) ORDER BY d.id""",
        ids=ids,
        settled=[*map(str, SETTLED)],
    ):
        accounts.setdefault(r.post_id, []).append(to_account_row(r))
    checks: dict[UUID, dict[int, Check]] = {}
    for r in rows(
        c,
        """SELECT pc.post_id, pc.position, k.* FROM post_checks pc,
                  LATERAL (SELECT id, purpose, url, verdict, facts, seen FROM checks WHERE id = pc.check_id LIMIT 1) k
           WHERE pc.post_id = ANY(:ids::uuid[]) ORDER BY pc.position""",
        ids=ids,
    ):
        checks.setdefault(r.post_id, {})[r.position] = to_check(r)
    return [
        OpenPost(**gather_options(r._mapping), accounts=accounts.get(r.id, ()), checks=checks.get(r.id, {}))
        for r in contents
    ]
