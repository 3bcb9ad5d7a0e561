"""Cancel, delete and retry posts: many in one call, each post in a transaction of its own.

A crash in the middle leaves some posts done and the others untouched; repeating the call is safe: a cancelled post
counts as cancelled, and a deleted one is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.edit import refuse_in_flight
from pipeline.context import Context
from pipeline.domain.delivery import SETTLED, Mover, State
from pipeline.domain.policy_errors import MEDIA_OUTAGE
from pipeline.domain.post import PostStatus
from pipeline.domain.schedule import next_at
from pipeline.failpoint import failpoint
from pipeline.recovery.restore import refuse_in_doubt
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import compute_status
from pipeline.stages.reachability import advance_post
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery, LockedPost

RETRIABLE = frozenset({PostStatus.FAILED, PostStatus.PARTIAL})
OVER = frozenset({PostStatus.POSTED, PostStatus.PARTIAL, PostStatus.CANCELED})
"""Statuses in which nothing is left to publish; such posts are not deleted."""
TRIES = 3
"""How often a retry that an edit overtook starts again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionResult:
    """The result of an action on several posts, in the order of the request."""

    ids: Sequence[UUID]
    errors: Mapping[UUID, str]
    """The reason, for each of the other posts."""


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
    context: Context, caller: Caller, post_ids: Sequence[UUID], account_ids: Sequence[UUID] | None = None
) -> ActionResult:
    """Cancel the deliveries that were not sent yet. A post with one of them in flight stays unchanged."""
    refuse_in_doubt(context)
    return _run_each(post_ids, lambda post: _cancel(context, caller, post, account_ids))


def retry(
    context: Context, caller: Caller, post_ids: Sequence[UUID], account_ids: Sequence[UUID] | None = None
) -> ActionResult:
    """Retry failed deliveries, never one that is or may be live. Media whose checks are too old are checked again."""
    refuse_in_doubt(context)
    return _run_each(post_ids, lambda post: _retry(context, caller, post, account_ids))


def delete(context: Context, caller: Caller, post_ids: Sequence[UUID]) -> DeletedPosts:
    """Cancel posts, then hide them. Posts that are published, over or in flight stay."""
    refuse_in_doubt(context)
    deleted = DeletedPosts()
    for post_id in dict.fromkeys(post_ids):
        _delete(context, caller, post_id, deleted)
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


def _lock_post(c: Connection, caller: Caller, post_id: UUID) -> LockedPost:
    post = store.read(c, caller.workspace_id, post_id, lock=True, accounts=caller.accounts)
    if post is None:
        raise Refusal(404, "not_found", "There is no such post.")
    return post


def _select_deliveries(post: LockedPost, account_ids: Sequence[UUID] | None) -> Sequence[LockedDelivery]:
    chosen = [p for p in post.deliveries if account_ids is None or p.account_id in account_ids]
    if not chosen:
        raise Refusal(400, "validation_failed", "The post goes to none of these accounts.")
    return chosen


# --- cancel and delete -----------------------------------------------------------------------------------------------


def _cancel(context: Context, caller: Caller, post_id: UUID, account_ids: Sequence[UUID] | None) -> None:
    with context.database.begin() as c:
        post = _lock_post(c, caller, post_id)
        chosen = _select_deliveries(post, account_ids)
        unsettled = [p for p in chosen if p.state not in SETTLED]
        refuse_in_flight(unsettled)
        if not unsettled and not all(p.state is State.CANCELLED for p in chosen):
            status = compute_status(post)
            raise Refusal(400, "validation_failed", f"The post is {status}: there is nothing left to cancel.")
        _cancel_deliveries(context, c, post, unsettled)
    failpoint("steer.cancelled", post_id)


def _cancel_deliveries(
    context: Context, c: Connection, post: LockedPost, parts: Sequence[LockedDelivery]
) -> None:
    for part in parts:
        store.move_locked(
            c,
            context.vault,
            part,
            State.CANCELLED,
            Mover.CANCEL,
            due_at=part.due_at,
            next_at=part.due_at,
            why="cancelled",
            error=part.error,
        )
    if parts:
        recompute_post_status(c, post.id)


def _delete(context: Context, caller: Caller, post_id: UUID, deleted: DeletedPosts) -> None:
    with context.database.begin() as c:
        post = store.read(c, caller.workspace_id, post_id, lock=True, accounts=caller.accounts)
        if post is None:
            deleted.skipped.append(post_id)
            return
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
        _cancel_deliveries(context, c, post, [p for p in post.deliveries if p.state not in SETTLED])
        store.hide_post(c, post_id)
    deleted.ids.append(post_id)


# --- retry -----------------------------------------------------------------------------------------------------------


def _retry(context: Context, caller: Caller, post_id: UUID, account_ids: Sequence[UUID] | None) -> None:
    for _ in range(TRIES):
        with context.database.begin() as c:
            seen = store.read(c, caller.workspace_id, post_id, lock=False, accounts=caller.accounts)
            if seen is None:
                raise Refusal(404, "not_found", "There is no such post.")
            _find_failed(seen, account_ids)
            # lock order: checks, then the post, as a verdict does
            checks = media_checks.lock_checks(c, caller.workspace_id, _open_checks(context, c, seen))
            post = _lock_post(c, caller, post_id)
            if (post.media, post.music_url) != (seen.media, seen.music_url):
                continue
            failed = _find_failed(post, account_ids)
            store.pin_checks(c, post.id, media_checks.map_check_ids(checks))
            for part in failed:
                _accept(context, c, post, part)
            recompute_post_status(c, post.id)
            advance_post(context, c, post.id)
        failpoint("steer.retried", post_id)
        context.dispatcher.send_checks(media_checks.list_undecided(checks), bulk=caller.bulk)
        context.dispatcher.send_slot_now()
        return
    raise Refusal(409, "post_in_flight", "The post changed several times during the request. Repeat it.")


def _find_failed(post: LockedPost, account_ids: Sequence[UUID] | None) -> Sequence[LockedDelivery]:
    """Find the deliveries to retry. Raises Refusal when there is none that may be sent."""
    status = compute_status(post)
    if status not in RETRIABLE:
        message = f"The post is {status}: only failed and partial posts are retried."
        raise Refusal(400, "validation_failed", message)
    failed = [p for p in _select_deliveries(post, account_ids) if p.state is State.FAILED]
    if not failed:
        raise Refusal(400, "validation_failed", "The post has not failed for any of these accounts.")
    sendable = [p for p in failed if not p.is_proven_live]
    if not sendable:
        message = "The platform shows the failed post live: look at the account. It is not sent again."
        raise Refusal(409, "post_in_flight", message)
    return sendable


def _open_checks(context: Context, c: Connection, post: LockedPost) -> Mapping[int, Check]:
    """Open fresh checks; a delivery that failed because of its media makes their old checks stale."""
    music = rules.parse_music_link(context, post.music_url)
    wanted = media_checks.list_links(post.media, music)
    codes = {(p.error or {}).get("code") for p in post.deliveries if p.state is State.FAILED}
    stale = {url for n, _, url in wanted if n != media_checks.MUSIC} if codes & MEDIA_FAULTS else set()
    return media_checks.open_checks(context, c, post.workspace_id, wanted, stale)


MEDIA_FAULTS = frozenset({"media_changed", "media_unreachable", MEDIA_OUTAGE})
"""Error codes after which the checks of a post's media no longer hold."""


def _accept(context: Context, c: Connection, post: LockedPost, part: LockedDelivery) -> None:
    """Move a delivery to accepted. A checkpoint that was proven absent is kept: finalize has to reuse its handle."""
    lead = context.adapters[part.platform].capabilities.prepare_lead
    expired = (part.error or {}).get("code") == "expired"
    store.move_locked(
        c,
        context.vault,
        part,
        State.ACCEPTED,
        Mover.RETRY,
        due_at=post.due_at,
        next_at=next_at(post.due_at, lead),
        why="retried",
        keep=part.resumes,
        error=part.error if expired else None,
    )
