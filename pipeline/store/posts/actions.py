"""What people do to a post after it was taken: edit, cancel, retry, delete. The post is locked, then its deliveries.

Whoever holds both locks decides alone: claim, arm and settle are single statements on the delivery's row, so they come
before (and what they left is seen here) or after (and find another generation).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.delivery import SETTLED, Mover, Reason, State, require
from pipeline.domain.receipt import content_sha256
from pipeline.store.checks.checks import Check
from pipeline.store.database import jsonb, new_id, row, rows
from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.vault import Vault, VaultError

log = logging.getLogger("slipway.steering")

HAUNTED = timedelta(hours=1)
"""How long after absence was proven an upload that was armed once counts as one that might still be completed: by a
worker that was stopped between its last check and its first byte. As long as the shortest-lived upload address lives.
"""


GOES_OUT = frozenset({State.ACCEPTED, State.SCHEDULED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One account's delivery, under the lock."""

    id: UUID
    account_id: UUID
    platform: Platform
    state: State
    reason: Reason | None
    generation: int
    due_at: datetime
    armed: bool
    haunted: bool
    """Its checkpoint was armed before and could be finished again: to be finished with this one, or not at all yet."""
    reused: bool
    """The last try was proven absent; its handle is the one to go on with."""
    shown_live: bool
    """Late proof says that it is live. Of a failed one that is an alarm: it must never be sent again."""
    checkpoint: bytes | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Steered:
    """A post with all of its deliveries and pinned checks."""

    id: UUID
    workspace_id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    tiktok: Mapping[str, Any] | None
    pinterest: Mapping[str, Any] | None
    due_at: datetime
    expires_at: datetime | None
    now: datetime
    parts: Sequence[Part]
    """In id order."""
    checks: Mapping[int, Check]


_POST = """
SELECT id, workspace_id, caption, media, music_url, tiktok, pinterest, due_at, expires_at, now() AS now
FROM posts WHERE id = :id AND workspace_id = :w AND deleted_at IS NULL
"""

_PARTS = """
SELECT d.id, d.account_id, d.platform, d.state, d.reason, d.generation, d.due_at, d.armed_at IS NOT NULL AS armed,
       d.checkpoint, d.error, coalesce(tried.open_end, false) AS reused,
       coalesce(tried.open_end AND tried.absent_at > now() - CAST(:haunted AS interval), false) AS haunted,
       EXISTS (SELECT FROM attempts a WHERE a.delivery_id = d.id
               AND jsonb_path_exists(a.late, '$[*].remote_id')) AS shown_live
FROM deliveries d LEFT JOIN LATERAL (
    SELECT max(closed_at) FILTER (WHERE outcome = 'absent') AS absent_at,
           bool_or(outcome = 'absent') AND (array_agg(outcome ORDER BY n DESC))[1] <> 'failed'
               AND d.checkpoint IS NOT NULL AS open_end
    FROM attempts a WHERE a.delivery_id = d.id AND a.closed_at IS NOT NULL
) tried ON true
WHERE d.post_id = :id ORDER BY d.id
"""

_CHECKS = """
SELECT pc.position, k.id, k.purpose, k.url, k.verdict, k.facts, k.seen
FROM post_checks pc JOIN checks k ON k.id = pc.check_id WHERE pc.post_id = :id ORDER BY pc.position
"""


def read(
    c: Connection, workspace: UUID, post: UUID, *, lock: bool, accounts: Accounts = None
) -> Steered | None:
    """A post as who is bound to ``accounts`` steers it; None: another's, out of sight, deleted, or not there.

    ``lock``: the post, then its deliveries in id order. They are read after they were locked, by a statement of its
    own: one that waited for a lock would still see the attempts as they were before.
    """
    found = row(c, _POST + (" FOR UPDATE" if lock else ""), id=post, w=workspace)
    if found is None:
        return None
    if lock:
        rows(c, "SELECT id FROM deliveries WHERE post_id = :id ORDER BY id FOR UPDATE", id=post)
    parts = [_part(r) for r in rows(c, _PARTS, id=post, haunted=HAUNTED)]
    if accounts is not None and any(p.account_id not in accounts for p in parts):
        return None
    checks = {
        r.position: Check(
            id=r.id, purpose=r.purpose, url=r.url, verdict=r.verdict, facts=r.facts, seen=r.seen
        )
        for r in rows(c, _CHECKS, id=post)
    }
    return Steered(**found._mapping, parts=parts, checks=checks)


def _part(r: Any) -> Part:
    m = dict(r._mapping)
    return Part(
        **{
            **m,
            "platform": Platform(m["platform"]),
            "state": State(m["state"]),
            "reason": Reason(m["reason"]) if m["reason"] else None,
        }
    )


def rewrite(
    c: Connection,
    post: Steered,
    *,
    caption: str,
    media: Mapping[str, Any],
    music_url: str | None,
    tiktok: Mapping[str, Any] | None,
    pinterest: Mapping[str, Any] | None,
    due_at: datetime,
) -> None:
    """Replaces what a post says and when it is due. Its media are looked at again ahead of their time.

    What it said is kept as a hash: receipts are written later, and tell what an account got.
    """
    row(
        c,
        """INSERT INTO rewrites (post_id, content_sha256, due_at) VALUES (:id, :sha, :due) RETURNING post_id""",
        id=post.id,
        sha=content_sha256(post.caption, post.media),
        due=post.due_at,
    )
    row(
        c,
        """UPDATE posts SET caption = :caption, media = :media, music_url = :music, tiktok = :tiktok,
                  pinterest = :pinterest, due_at = :due, rechecked_at = NULL, updated_at = clock_timestamp()
           WHERE id = :id RETURNING id""",
        id=post.id,
        caption=caption,
        media=jsonb(dict(media)),
        music=music_url,
        tiktok=jsonb(None if tiktok is None else dict(tiktok)),
        pinterest=jsonb(None if pinterest is None else dict(pinterest)),
        due=due_at,
    )


def pin(c: Connection, post: UUID, checks: Mapping[int, UUID]) -> None:
    """The checks a post pins from now on."""
    row(c, "WITH gone AS (DELETE FROM post_checks WHERE post_id = :id) SELECT 1 AS one", id=post)
    for position, check in checks.items():
        row(
            c,
            "INSERT INTO post_checks (post_id, position, check_id) VALUES (:id, :n, :check) RETURNING position",
            id=post,
            n=position,
            check=check,
        )


_PUT = """
WITH d AS (
    UPDATE deliveries SET
        state = :target, reason = NULL, generation = generation + 1, fence = fence + 1, lease_until = NULL,
        due_at = :due, next_at = :next, spent = 0, crashes = 0, surprises = 0, looks = 0,
        armed_at = NULL, armed_deadline = NULL, working_since = NULL, absent_at = NULL,
        checkpoint = CASE WHEN :keep THEN checkpoint END, remote_id = NULL, url = NULL, delivered_as = NULL,
        notes = NULL, error = CAST(:error AS jsonb), updated_at = clock_timestamp()
    WHERE id = :id AND state = :origin AND generation = :generation
    RETURNING id, generation, fence
), forward AS (
    INSERT INTO brought_forward (delivery_id) SELECT id FROM d WHERE :forward ON CONFLICT DO NOTHING
), attempt AS (
    UPDATE attempts SET closed_at = now(), outcome = 'decided' FROM d WHERE delivery_id = d.id AND closed_at IS NULL
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, :mover, :origin, :target, generation, fence, :why FROM d
)
SELECT id FROM d
"""


def put(  # noqa: PLR0913  one statement's worth of facts, all named
    c: Connection,
    vault: Vault,
    part: Part,
    target: State,
    mover: Mover,
    *,
    due_at: datetime,
    next_at: datetime,
    why: str,
    error: Mapping[str, Any] | None = None,
    keep: bool = False,
) -> None:
    """Moves a locked delivery and raises its generation, so that everything under way for the old one is dead.

    Its open attempt was never armed and is closed; its checkpoint starts empty (``keep``: unless that one has to be
    finished), and the old one goes to the clean-up list. One that now goes out earlier than an older database would
    say is not armed before that is noted beside the mark. Raises LookupError when the lock was not held: a bug.
    """
    require(part.state, mover, target)
    done = row(
        c,
        _PUT,
        id=part.id,
        origin=part.state,
        target=target,
        generation=part.generation,
        mover=mover,
        due=due_at,
        next=next_at,
        keep=keep,
        error=jsonb(None if error is None else dict(error)),
        why=why,
        forward=target in GOES_OUT and (part.state in SETTLED or due_at < part.due_at),
    )
    if done is None:
        raise LookupError(f"Delivery {part.id} moved under its lock.")
    if part.checkpoint is not None and not keep:
        _set_aside(c, vault, part)


def _set_aside(c: Connection, vault: Vault, part: Part) -> None:
    """The old handle, for whoever cleans up over there. One that no key opens is of no use to anybody."""
    identity = new_id()
    try:
        handle = vault.seal(vault.open(part.checkpoint or b"", part.id), identity)
    except VaultError:
        log.warning("delivery %s: its old handle opens with no key and is forgotten", part.id)
        return
    row(
        c,
        """INSERT INTO old_handles (id, delivery_id, account_id, generation, handle)
           VALUES (:id, :delivery, :account, :generation, :handle) RETURNING id""",
        id=identity,
        delivery=part.id,
        account=part.account_id,
        generation=part.generation,
        handle=handle,
    )


def add(
    c: Connection,
    post: Steered,
    account: UUID,
    platform: Platform,
    state: State,
    *,
    due_at: datetime,
    next_at: datetime,
    why: str,
    error: Mapping[str, Any] | None = None,
) -> UUID:
    """One account more."""
    identity = new_id()
    row(
        c,
        """WITH d AS (
               INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, error)
               VALUES (:id, :post, :w, :account, :platform, :state, :due, :next, CAST(:error AS jsonb))
               RETURNING id, state
           )
           INSERT INTO moves (delivery_id, mover, target, generation, fence, why)
           SELECT id, 'edit', state, 0, 0, :why FROM d RETURNING id""",
        id=identity,
        post=post.id,
        w=post.workspace_id,
        account=account,
        platform=platform,
        state=state,
        due=due_at,
        next=next_at,
        why=why,
        error=jsonb(None if error is None else dict(error)),
    )
    return identity


def hide(c: Connection, post: UUID) -> None:
    """Takes a post out of everybody's sight; its rows stay as evidence."""
    row(c, "UPDATE posts SET deleted_at = now(), updated_at = now() WHERE id = :id RETURNING id", id=post)
