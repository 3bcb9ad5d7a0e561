"""Cancel, delete and retry posts: many in one call, each post in a transaction of its own.

A crash in the middle leaves some posts done and the others untouched; repeating the call is safe: a cancelled post
counts as cancelled, and a deleted one is skipped.

A retry and a replay share a part: both check the media again, then accept a failed delivery. Deliveries of the same
post that wait are not touched: they keep the checks they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.post_changes import (
    record_cancel,
    record_states,
    refuse_in_flight,
    refuse_stale,
    require_post,
)
from pipeline.domain.delivery import SETTLED, Mover, State, may_retry
from pipeline.domain.delivery_error import MEDIA_FAULTS
from pipeline.domain.post import PostStatus, next_at
from pipeline.recovery.restore import refuse_unresolved
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.drafts import MUSIC
from pipeline.stages.mandate import refuse_beyond_mandate
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import compute_account_status, compute_status
from pipeline.stages.reachability import advance_post
from pipeline.stages.replay import read_content
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.approvals import demand_approval
from pipeline.store.posts.pins import pin_checks_for_retry

OVER = frozenset({PostStatus.POSTED, PostStatus.PARTIAL, PostStatus.CANCELED})
"""Statuses in which nothing is left to publish; such posts are not deleted."""
Accounts = Sequence[UUID] | None
"""Some of a post's accounts; None: all."""
Tag = str | None
TRIES = 3
"""How often a retry that an edit overtook starts again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionResult:
    """The result of an action on several posts, in the order of the request."""

    ids: Sequence[UUID]
    errors: Mapping[UUID, str]
    """The reason, for each of the other posts."""
    left: Mapping[UUID, Mapping[UUID, str]] = field(default_factory=dict)
    """By post of ``ids``: the accounts at which nothing was done, with the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetriedPost:
    """A retried post. ``left``: the reason for each account it is not retried at; ``undecided``: checks to send."""

    left: Mapping[UUID, str]
    undecided: Sequence[UUID]


@dataclass(kw_only=True, slots=True)
class DeletedPosts:
    """The result of deleting several posts."""

    ids: list[UUID] = field(default_factory=list)
    blocked: list[tuple[UUID, str]] = field(default_factory=list)
    """Posts that stay, with the status that prevents deletion."""
    skipped: list[UUID] = field(default_factory=list)
    """Posts that do not exist or are outside the caller's scope."""
    errors: dict[UUID, str] = field(default_factory=dict)


def cancel(
    context: Context, caller: Caller, post_ids: Sequence[UUID], account_ids: Accounts = None, tag: Tag = None
) -> ActionResult:
    """Cancel the deliveries that were not sent yet. A post with one of them in flight stays unchanged.

    *tag*: here and below, of the version that is meant, as in If-Match.
    """
    refuse_unresolved(context)
    return _run_each(post_ids, lambda post: _cancel(context, caller, post, account_ids, tag))


def retry(
    context: Context, caller: Caller, post_ids: Sequence[UUID], account_ids: Accounts = None, tag: Tag = None
) -> ActionResult:
    """Retry failed deliveries, whatever others of their post wait for; never one that is or may be live.

    Media whose checks are too old are checked again.
    """
    refuse_unresolved(context)
    left: dict[UUID, Mapping[UUID, str]] = {}

    def work(post: UUID) -> None:
        left[post] = _retry(context, caller, post, account_ids, tag)

    return replace(_run_each(post_ids, work), left={post: why for post, why in left.items() if why})


def delete(context: Context, caller: Caller, post_ids: Sequence[UUID], tag: Tag = None) -> DeletedPosts:
    """Cancel posts, then hide them. Posts that are published, over or in flight stay."""
    refuse_unresolved(context)
    deleted = DeletedPosts()
    for post_id in dict.fromkeys(post_ids):
        _delete(context, caller, post_id, deleted, tag)
        failpoint("steer.deleted", post_id)
    return deleted


def _run_each(post_ids: Sequence[UUID], work: Callable[[UUID], None]) -> ActionResult:
    ids, errors = [], {}
    for post_id in dict.fromkeys(post_ids):
        try:
            work(post_id)
        except Refusal as refusal:
            errors[post_id] = f"{refusal.code}: {refusal.message}"
        else:
            ids.append(post_id)
    return ActionResult(ids=ids, errors=errors)


def _select_deliveries(post: LockedPost, account_ids: Sequence[UUID] | None) -> Sequence[LockedDelivery]:
    chosen = [p for p in post.deliveries if account_ids is None or p.account_id in account_ids]
    if not chosen:
        raise Refusal(400, "validation_failed", "The post goes to none of these accounts.")
    return chosen


# --- cancel and delete -----------------------------------------------------------------------------------------------


def find_targets(
    c: Connection, caller: Caller, verb: str, post_id: UUID, account_ids: Accounts
) -> Sequence[LockedDelivery]:
    """Return the deliveries that cancel, delete or retry would change now. Raises Refusal where nothing is done."""
    post = require_post(c, caller, post_id, lock=False)
    if verb == "retry":
        failed, _ = _find_failed(post, account_ids)
        refuse_sending_again(caller, post, failed)
        return failed
    if verb == "cancel":
        return _find_cancelable(post, account_ids)
    refuse_in_flight(post.deliveries)
    if (status := compute_status(post)) in OVER:
        raise Refusal(400, "validation_failed", f"The post is {status}: it can no longer be changed.")
    return [p for p in post.deliveries if p.state not in SETTLED]


def _find_cancelable(post: LockedPost, account_ids: Sequence[UUID] | None) -> Sequence[LockedDelivery]:
    chosen = _select_deliveries(post, account_ids)
    unsettled = [p for p in chosen if p.state not in SETTLED]
    refuse_in_flight(unsettled)
    if not unsettled and not all(p.state is State.CANCELLED for p in chosen):
        status = compute_status(post)
        raise Refusal(400, "validation_failed", f"The post is {status}: there is nothing left to cancel.")
    return unsettled


def _cancel(context: Context, caller: Caller, post_id: UUID, account_ids: Accounts, tag: Tag) -> None:
    with context.database.begin() as c:
        post = require_post(c, caller, post_id)
        refuse_stale(c, caller, post_id, tag)
        unsettled = _find_cancelable(post, account_ids)
        cancel_deliveries(context, c, post, unsettled)
        if unsettled:
            record_cancel(c, caller.actor, post, unsettled)
    failpoint("steer.cancelled", post_id)


def cancel_deliveries(
    context: Context,
    c: Connection,
    post: LockedPost,
    parts: Sequence[LockedDelivery],
    why: str = "cancelled",
) -> None:
    """Cancel unsettled deliveries of a locked post, none of which is in flight."""
    for part in parts:
        store.move_locked(
            c,
            context.vault,
            part,
            State.CANCELLED,
            Mover.CANCEL,
            due_at=part.due_at,
            next_at=part.due_at,
            why=why,
            error=part.error,
        )
    if parts:
        recompute_post_status(c, post.id)


def _delete(context: Context, caller: Caller, post_id: UUID, deleted: DeletedPosts, tag: Tag) -> None:
    with context.database.begin() as c:
        post = store.read(c, caller.workspace_id, post_id, lock=True, accounts=caller.accounts)
        if post is None:
            deleted.skipped.append(post_id)
            return
        refuse_stale(c, caller, post_id, tag)
        status = compute_status(post)
        try:
            refuse_in_flight(post.deliveries)
        except Refusal as refusal:
            deleted.errors[post_id] = f"{refusal.code}: {refusal.message}"
            deleted.blocked.append((post_id, status))
            return
        if status in OVER:
            deleted.blocked.append((post_id, status))
            return
        unsettled = [p for p in post.deliveries if p.state not in SETTLED]
        cancel_deliveries(context, c, post, unsettled)
        store.hide_post(c, post_id)
        record_states(c, caller.actor, "delete", post, unsettled, State.CANCELLED, deleted=True)
    deleted.ids.append(post_id)


# --- retry -----------------------------------------------------------------------------------------------------------


def _retry(
    context: Context, caller: Caller, post_id: UUID, account_ids: Accounts, tag: Tag
) -> Mapping[UUID, str]:
    """Retry one post; return the reason for each account it is not retried at, by account."""
    for _ in range(TRIES):
        with context.database.begin() as c:
            done = retry_within(context, c, caller, post_id, account_ids, tag)
        if done is None:
            continue
        failpoint("steer.retried", post_id)
        context.dispatcher.send_checks(done.undecided, bulk=caller.bulk)
        context.dispatcher.send_slot_now()
        return done.left
    raise Refusal(409, "post_in_flight", "The post changed several times during the request. Repeat it.")


def retry_within(
    context: Context, c: Connection, caller: Caller, post_id: UUID, account_ids: Accounts, tag: Tag = None
) -> RetriedPost | None:
    """Retry one post in the caller's transaction; None if its media changed concurrently. Raises Refusal."""
    seen = require_post(c, caller, post_id, lock=False)
    requested, _ = _find_failed(seen, account_ids)
    refuse_sending_again(caller, seen, requested)
    # lock order: checks, then the post, as a verdict does
    checks = media_checks.lock_checks(c, caller.workspace_id, open_checks(context, c, seen, requested))
    post = require_post(c, caller, post_id)
    refuse_stale(c, caller, post_id, tag)
    if (post.media, post.music_url, post.own) != (seen.media, seen.music_url, seen.own):
        return None
    failed, left = _find_failed(post, account_ids)
    demand_approval(c, caller, [post.id])
    pin_checks(c, post, checks)
    accept_again(context, c, post, failed, why="retried")
    record_states(c, caller.actor, "retry", post, failed, State.ACCEPTED)
    return RetriedPost(left=left, undecided=media_checks.list_undecided(checks))


def _find_failed(
    post: LockedPost, account_ids: Sequence[UUID] | None
) -> tuple[Sequence[LockedDelivery], Mapping[UUID, str]]:
    """Find the deliveries to retry, and why others are not. Raises Refusal when there is none that may be sent."""
    chosen = _select_deliveries(post, account_ids)
    failed = [p for p in chosen if p.state is State.FAILED]
    if not failed:
        where = "any account" if account_ids is None else "any of these accounts"
        message = (
            f"The post is {compute_status(post)} and has not failed at {where}: only failed ones are retried."
        )
        raise Refusal(400, "validation_failed", message)
    sendable = [p for p in chosen if may_retry(p.state, is_proven_live=p.is_proven_live)]
    if not sendable:
        raise Refusal(409, "post_in_flight", LIVE)
    left = failed if account_ids is None else chosen
    return sendable, {p.account_id: _explain_left(post, p) for p in left if p not in sendable}


def _explain_left(post: LockedPost, part: LockedDelivery) -> str:
    if part.state is State.FAILED:
        return f"post_in_flight: {LIVE}"
    return f"validation_failed: It is {compute_account_status(post, part)}: only failed ones are retried."


# --- the part that retry and replay share ----------------------------------------------------------------------------

LIVE = "The platform shows the failed post live: look at the account. It is not sent again."


def refuse_sending_again(caller: Caller, post: LockedPost, failed: Iterable[LockedDelivery]) -> None:
    """Raise Refusal 403 if the key may not send these deliveries now, or at their time if that is to come."""
    dues = {p.account_id: max(p.due_at, post.now) for p in failed}
    refuse_beyond_mandate(caller, read_content(post, post.own), dues, post.now)


def open_checks(
    context: Context, c: Connection, post: LockedPost, failed: Iterable[LockedDelivery], *, bulk: bool = False
) -> Mapping[int, Check]:
    """Open fresh checks; a delivery that failed because of its media makes their old checks stale. Raises Refusal."""
    rules.refuse_newer(context, post.level)
    music = rules.parse_music_link(context, post.music_url)
    requested = media_checks.list_links(post.media, music, post.own.values())
    codes = {(part.error or {}).get("code") for part in failed}
    stale = {url for n, _, url in requested if n != MUSIC} if codes & MEDIA_FAULTS else set()
    return media_checks.open_checks(context, c, post.workspace_id, requested, stale, bulk=bulk)


def pin_checks(c: Connection, post: LockedPost, checks: Mapping[int, Check]) -> None:
    """Pin the checks for the deliveries to retry, before they are accepted."""
    pins = media_checks.map_check_ids(checks)
    if pins != media_checks.map_check_ids(post.checks):
        pin_checks_for_retry(c, post.id, pins)


def accept_again(
    context: Context,
    c: Connection,
    post: LockedPost,
    failed: Iterable[LockedDelivery],
    *,
    why: str,
    not_before: datetime | None = None,
) -> None:
    """Move deliveries of a post to accepted, and on if their media are checked.

    A checkpoint that was proven absent is kept: finalize has to reuse its handle.
    """
    for part in failed:
        expired = (part.error or {}).get("code") == "expired"
        soonest = next_at(part.due_at, context.adapters[part.platform].capabilities.prepare_lead)
        store.move_locked(
            c,
            context.vault,
            part,
            State.ACCEPTED,
            Mover.RETRY,
            due_at=part.due_at,
            next_at=max(soonest, not_before or soonest),
            why=why,
            keep=part.resumes,
            error=part.error if expired else None,
        )
    recompute_post_status(c, post.id)
    advance_post(context, c, post.id)
