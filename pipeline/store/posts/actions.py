"""Actions on stored posts: edit, cancel, retry, delete, resolve. The post is locked, then its deliveries in id order.

The holder of both locks is the only one to change the deliveries. Claim, arm and settle are single statements on a
delivery's row: they run before, and their result is read here, or after, and find another generation.
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
from pipeline.domain.delivery import SETTLED, Mover, Reason, State, require_move
from pipeline.domain.own_content import OwnContent, find_base_due
from pipeline.store.checks.checks import Check
from pipeline.store.database import (
    build,
    execute,
    find_value,
    has_row,
    insert,
    jsonb,
    new_id,
    read_one,
    row,
    rows,
)
from pipeline.store.deliveries.history import IS_PROVEN_LIVE
from pipeline.store.deliveries.move import REMOVED, lock_post
from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.posts.approvals import LOSE_APPROVAL
from pipeline.store.posts.insert_batch import NewDelivery
from pipeline.store.posts.options import CONTENT, PostContent, gather_options
from pipeline.store.posts.texts import forget_text
from pipeline.store.vault import Vault, VaultError

log = logging.getLogger("slipway.actions")

MAY_BE_LIVE_FOR = timedelta(hours=1)
"""How long after its absence was proven an armed upload may still be completed, by a worker that was stopped between
its last check and its first byte: the lifetime of the shortest-lived upload URL.
"""


GOES_OUT = frozenset({State.ACCEPTED, State.SCHEDULED})


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDelivery:
    """A delivery, under its lock."""

    id: UUID
    account_id: UUID
    platform: Platform
    state: State
    reason: Reason | None
    generation: int
    due_at: datetime
    armed: bool
    may_be_live: bool
    """Its checkpoint was armed before and may still be completed, so a retry has to reuse it or wait."""
    resumes: bool
    """The last attempt was proven absent, and its checkpoint can be resumed."""
    is_proven_live: bool
    """Late proof shows that it is live. A failed delivery with such proof must never be sent again."""
    checkpoint: bytes | None
    error: Mapping[str, Any] | None
    removed: bool
    """An edit took the account off the post."""
    edits: int
    """How often its post was edited."""
    tokens: Sequence[str]
    """By which repeats of its post are recognised."""
    own: OwnContent | None
    """What its account has of its own."""
    paused_by: UUID | None
    """The steering job that paused it by itself; None: it is not paused so."""
    paused_why: str | None


@dataclass(kw_only=True, slots=True)
class LockedPost(PostContent):
    """A post with all of its deliveries and pinned checks."""

    level: int
    """The highest of its deliveries."""
    needs_approval: bool
    """It is sent only with an approval."""
    external_id: str | None
    expires_at: datetime | None
    now: datetime
    deliveries: Sequence[LockedDelivery]
    """In id order."""
    checks: Mapping[int, Check]

    @property
    def own(self) -> Mapping[UUID, OwnContent]:
        """The contents of single accounts that the post still has, by account."""
        kept = [part for part in self.deliveries if part.state is not State.CANCELLED]
        return {part.account_id: part.own for part in kept if part.own is not None}

    @property
    def base_due_at(self) -> datetime:
        """The time of the accounts without one of their own."""
        kept = [(part.own, part.due_at, part.state) for part in self.deliveries if not part.removed]
        return find_base_due(self.due_at, kept)


_POST = f"""
SELECT {CONTENT}, expires_at, external_id, now() AS now,
       (SELECT coalesce(max(level), 1) FROM post_deliveries WHERE post_id = :id) AS level,
       EXISTS (SELECT FROM approvals WHERE post_id = :id) AS needs_approval
FROM posts WHERE id = :id AND workspace_id = :w AND deleted_at IS NULL
"""

_PARTS = f"""
SELECT d.id, d.account_id, d.platform, d.state, d.reason, d.generation, d.due_at, d.armed_at IS NOT NULL AS armed,
       d.checkpoint, d.error, d.own, {REMOVED} AS removed, coalesce(tried.open_end, false) AS resumes,
       coalesce(tried.open_end AND tried.absent_at > now() - CAST(:may_be_live AS interval), false) AS may_be_live,
       {IS_PROVEN_LIVE} AS is_proven_live, h.job_id AS paused_by, h.why AS paused_why,
       (SELECT count(*) FROM rewrites WHERE post_id = :id) AS edits,
       ARRAY(SELECT token FROM replays WHERE post_id = :id) AS tokens
FROM deliveries d LEFT JOIN paused_deliveries h ON h.delivery_id = d.id LEFT JOIN LATERAL (
    SELECT max(closed_at) FILTER (WHERE outcome = 'absent') AS absent_at,
           bool_or(outcome = 'absent') AND (array_agg(outcome ORDER BY n DESC))[1] <> 'failed'
               AND d.checkpoint IS NOT NULL AS open_end
    FROM attempts a WHERE a.delivery_id = d.id AND a.closed_at IS NOT NULL
) tried ON true
WHERE d.post_id = :id AND d.is_comment = :comments ORDER BY d.id
"""

_CHECKS = """
SELECT pc.position, k.id, k.purpose, k.url, k.verdict, k.facts, k.seen
FROM post_checks pc JOIN checks k ON k.id = pc.check_id WHERE pc.post_id = :id ORDER BY pc.position
"""


def read(
    c: Connection, workspace: UUID, post: UUID, *, lock: bool, accounts: Accounts = None
) -> LockedPost | None:
    """Read a post to act on, for a key restricted to ``accounts``; None when it is not visible, deleted or missing.

    ``lock``: lock the post, then its deliveries in id order. A second statement then reads them: one that waited for a
    lock would return the attempts of before the wait.
    """
    found = row(c, _POST + (" FOR UPDATE" if lock else ""), id=post, w=workspace)
    if found is None:
        return None
    deliveries = _read_parts(c, post, lock=lock)
    if accounts is not None and any(d.account_id not in accounts for d in deliveries):
        return None
    checks = {r.position: build(Check, r) for r in rows(c, _CHECKS, id=post)}
    return LockedPost(**gather_options(found._mapping), deliveries=deliveries, checks=checks)


def _read_parts(c: Connection, post: UUID, *, lock: bool, comments: bool = False) -> Sequence[LockedDelivery]:
    if lock:
        sql = (
            "SELECT id FROM deliveries WHERE post_id = :id AND is_comment = :comments ORDER BY id FOR UPDATE"
        )
        rows(c, sql, id=post, comments=comments)
    found = rows(c, _PARTS, id=post, comments=comments, may_be_live=MAY_BE_LIVE_FOR)
    return [build(LockedDelivery, r, own=OwnContent.from_dict(r.own)) for r in found]


def lock_comments(c: Connection, post: LockedPost) -> Mapping[UUID, LockedDelivery]:
    """Lock the first comments of a locked post that have a delivery; return them by account."""
    return {part.account_id: part for part in _read_parts(c, post.id, lock=True, comments=True)}


_MOVE = f"""
WITH d AS (
    UPDATE deliveries SET
        state = :target, reason = NULL, held_for = NULL, lease_until = NULL,
        generation = generation + 1, fence = fence + 1, due_at = :due, next_at = :next,
        spent = 0, crashes = 0, surprises = 0, looks = 0,
        armed_at = NULL, armed_deadline = NULL, working_since = NULL, absent_at = NULL, unavailable_since = NULL,
        checkpoint = CASE WHEN :keep THEN checkpoint END, remote_id = NULL, url = NULL, delivered_as = NULL,
        notes = NULL, error = CAST(:error AS jsonb), updated_at = clock_timestamp(),
        removed_generation = CASE WHEN :removed THEN generation + 1 END
    WHERE id = :id AND state = :origin AND generation = :generation
    RETURNING id, generation, fence, post_id
), unapproved AS (
    UPDATE approvals v SET {LOSE_APPROVAL} FROM d WHERE v.post_id = d.post_id AND :moves
), forward AS (
    INSERT INTO brought_forward (delivery_id) SELECT id FROM d WHERE :forward ON CONFLICT DO NOTHING
), unpaused AS (
    DELETE FROM paused_deliveries h USING d WHERE h.delivery_id = d.id AND CAST(:target AS text) = 'cancelled'
), attempt AS (
    UPDATE attempts SET closed_at = now(), outcome = 'decided' FROM d WHERE delivery_id = d.id AND closed_at IS NULL
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, :mover, :origin, :target, generation, fence, :why FROM d
)
SELECT id FROM d
"""


def move_locked(  # noqa: PLR0913  one keyword per fact
    c: Connection,
    vault: Vault,
    part: LockedDelivery,
    target: State,
    mover: Mover,
    *,
    due_at: datetime,
    next_at: datetime,
    why: str,
    error: Mapping[str, Any] | None = None,
    keep: bool = False,
    removed: bool = False,
) -> None:
    """Move a locked delivery and raise its generation, so that messages and claims of the old one do nothing.

    Its open attempt, which was never armed, is closed. Its checkpoint is cleared and goes to the clean-up list, unless
    ``keep`` says that it has to be resumed. A delivery that is now sent earlier than an older database would say is not
    armed before the epoch file records that. Another due time ends the approval of its post. ``removed``: the post no
    longer targets its account. Raises LookupError when the delivery is not locked: a bug.
    """
    require_move(part.state, mover, target)
    is_moved = has_row(
        c,
        _MOVE,
        id=part.id,
        origin=part.state,
        target=target,
        generation=part.generation,
        mover=mover,
        due=due_at,
        next=next_at,
        keep=keep,
        removed=removed,
        error=jsonb(None if error is None else dict(error)),
        why=why,
        moves=due_at != part.due_at,
        forward=target in GOES_OUT and (part.state in SETTLED or due_at < part.due_at),
    )
    if not is_moved:
        raise LookupError(f"Delivery {part.id} moved under its lock.")
    if part.checkpoint is not None and not keep:
        _save_old_handle(c, vault, part)


def _save_old_handle(c: Connection, vault: Vault, part: LockedDelivery) -> None:
    """Store the old handle for the clean-up at the platform. A handle that no key opens is dropped."""
    identity = new_id()
    try:
        handle = vault.seal(vault.open(part.checkpoint or b"", part.id), identity)
    except VaultError:
        log.warning(
            "no key opens the old handle of delivery %s; it will not be cleaned up at the platform", part.id
        )
        return
    insert(
        c,
        "old_handles",
        id=identity,
        delivery_id=part.id,
        account_id=part.account_id,
        generation=part.generation,
        handle=handle,
    )


def add_delivery(
    c: Connection,
    post: LockedPost,
    new: NewDelivery,
    *,
    due_at: datetime,
    why: str,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Add a delivery to one more account."""
    execute(
        c,
        """WITH d AS (
               INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, level, inbox_draft,
                                       due_at, next_at, error, own, caption_digest, media_digest)
               VALUES (:id, :post, :w, :account, :platform, :state,
                       (SELECT max(level) FROM post_deliveries WHERE post_id = :post), :inbox_draft,
                       :due, :next, CAST(:error AS jsonb), CAST(:own AS jsonb), :caption, :media)
               RETURNING id, state
           )
           INSERT INTO moves (delivery_id, mover, target, generation, fence, why)
           SELECT id, 'edit', state, 0, 0, :why FROM d""",
        id=new.id,
        post=post.id,
        w=post.workspace_id,
        account=new.account_id,
        platform=new.platform,
        state=new.state,
        inbox_draft=new.inbox_draft,
        due=due_at,
        next=new.next_at,
        why=why,
        error=jsonb(None if error is None else dict(error)),
        own=jsonb(None if new.own is None else new.own.to_dict()),
        caption=new.content.caption,
        media=new.content.media,
    )


def hide_post(c: Connection, post: UUID) -> None:
    """Hide a post from all readers; its rows stay as evidence, but for the text that searches read."""
    forget_text(c, post)
    execute(c, "UPDATE posts SET deleted_at = now(), updated_at = now() WHERE id = :id", id=post)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvableDelivery:
    """A delivery under its lock."""

    post_id: UUID
    platform: Platform
    state: State
    generation: int
    fence: int
    armed_at: datetime | None
    armed_deadline: datetime | None
    checkpoint: bytes | None
    """Sealed for the delivery."""
    error: Mapping[str, Any] | None
    now: datetime
    """The database's clock."""


def lock_to_resolve(c: Connection, delivery: UUID) -> ResolvableDelivery | None:
    """Lock a delivery's post, then the delivery, and return it; None when there is none."""
    post = find_value(c, UUID, "SELECT post_id FROM deliveries WHERE id = :id", id=delivery)
    if post is None:
        return None
    lock_post(c, post)
    return read_one(
        c,
        ResolvableDelivery,
        """SELECT post_id, platform, state, generation, fence, armed_at, armed_deadline, checkpoint, error,
                  now() AS now
           FROM deliveries WHERE id = :id FOR UPDATE""",
        id=delivery,
    )


def close_attempt_as_decided(c: Connection, delivery: UUID) -> None:
    """Close the open attempt of a delivery, if it has one."""
    sql = """UPDATE attempts SET closed_at = now(), outcome = 'decided'
             WHERE delivery_id = :id AND closed_at IS NULL"""
    execute(c, sql, id=delivery)
