"""Taking posts back, taking them away, and trying them again: many at once, each post in a transaction of its own.

Advances nothing by itself. A crash in the middle leaves some of the posts done and the others untouched; asking again
is safe: what is cancelled already counts as cancelled, what is deleted already is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.edit import refuse_in_flight
from pipeline.context import Context
from pipeline.domain.delivery import SETTLED, Mover, State
from pipeline.domain.post import PostStatus
from pipeline.domain.schedule import next_at
from pipeline.failpoint import failpoint
from pipeline.recovery.restore import refuse_in_doubt
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import status_now
from pipeline.stages.reachability import advance
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.moves import recompute
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import Part, Steered

RETRIABLE = frozenset({PostStatus.FAILED, PostStatus.PARTIAL})
OVER = frozenset({PostStatus.POSTED, PostStatus.PARTIAL, PostStatus.CANCELED})
"""Nothing of such a post is still to come: there is nothing to delete before it happens."""
TRIES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of several posts, in the order asked."""

    ids: Sequence[UUID]
    errors: Mapping[UUID, str]
    """Why not, of the others."""


@dataclass(kw_only=True, slots=True)
class Deleted:
    """What became of several posts that were to be deleted."""

    ids: list[UUID] = field(default_factory=list)
    blocked: list[tuple[UUID, str]] = field(default_factory=list)
    """Posts that stay, and the status that is why."""
    skipped: list[UUID] = field(default_factory=list)
    """Not there, or not within the caller's scope."""
    errors: dict[UUID, str] = field(default_factory=dict)


def cancel(
    context: Context, caller: Caller, post_ids: Sequence[UUID], account_ids: Sequence[UUID] | None = None
) -> Done:
    """Takes back what has not been sent yet. Of a post with one of these in flight nothing is changed."""
    refuse_in_doubt(context)
    return _each(post_ids, lambda post: _cancel(context, caller, post, account_ids))


def retry(
    context: Context, caller: Caller, post_ids: Sequence[UUID], account_ids: Sequence[UUID] | None = None
) -> Done:
    """Sends again what failed, never what is posted or may be: media are checked anew where that is needed."""
    refuse_in_doubt(context)
    return _each(post_ids, lambda post: _retry(context, caller, post, account_ids))


def delete(context: Context, caller: Caller, post_ids: Sequence[UUID]) -> Deleted:
    """Cancels, then hides. Posts that are out, over or in flight stay."""
    refuse_in_doubt(context)
    deleted = Deleted()
    for post_id in dict.fromkeys(post_ids):
        _delete(context, caller, post_id, deleted)
        failpoint("steer.deleted", post_id)
    return deleted


def _each(post_ids: Sequence[UUID], work: Callable[[UUID], None]) -> Done:
    ids, errors = [], {}
    for post_id in dict.fromkeys(post_ids):
        try:
            work(post_id)
        except Refusal as refusal:
            errors[post_id] = f"{refusal.code}: {refusal.message}"
        else:
            ids.append(post_id)
    return Done(ids=ids, errors=errors)


def _locked(c: Connection, caller: Caller, post_id: UUID) -> Steered:
    post = store.read(c, caller.workspace_id, post_id, lock=True, accounts=caller.accounts)
    if post is None:
        raise Refusal(404, "not_found", "There is no such post.")
    return post


def _chosen(post: Steered, account_ids: Sequence[UUID] | None) -> Sequence[Part]:
    chosen = [p for p in post.parts if account_ids is None or p.account_id in account_ids]
    if not chosen:
        raise Refusal(400, "validation_failed", "The post goes to none of these accounts.")
    return chosen


# --- cancel and delete -----------------------------------------------------------------------------------------------


def _cancel(context: Context, caller: Caller, post_id: UUID, account_ids: Sequence[UUID] | None) -> None:
    with context.database.begin() as c:
        post = _locked(c, caller, post_id)
        chosen = _chosen(post, account_ids)
        open_ones = [p for p in chosen if p.state not in SETTLED]
        refuse_in_flight(open_ones)
        if not open_ones and not all(p.state is State.CANCELLED for p in chosen):
            word = status_now(post)
            raise Refusal(400, "validation_failed", f"The post is {word}: there is nothing left to cancel.")
        _take_back(context, c, post, open_ones)
    failpoint("steer.cancelled", post_id)


def _take_back(context: Context, c: Connection, post: Steered, parts: Sequence[Part]) -> None:
    for part in parts:
        store.put(
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
        recompute(c, post.id)


def _delete(context: Context, caller: Caller, post_id: UUID, deleted: Deleted) -> None:
    with context.database.begin() as c:
        post = store.read(c, caller.workspace_id, post_id, lock=True, accounts=caller.accounts)
        if post is None:
            deleted.skipped.append(post_id)
            return
        status = status_now(post)
        try:
            refuse_in_flight(post.parts)
        except Refusal as refusal:
            deleted.errors[post_id] = f"{refusal.code}: {refusal.message}"
            deleted.blocked.append((post_id, status))
            return
        if status in OVER:
            deleted.blocked.append((post_id, status))
            return
        _take_back(context, c, post, [p for p in post.parts if p.state not in SETTLED])
        store.hide(c, post_id)
    deleted.ids.append(post_id)


# --- retry -----------------------------------------------------------------------------------------------------------


def _retry(context: Context, caller: Caller, post_id: UUID, account_ids: Sequence[UUID] | None) -> None:
    for _ in range(TRIES):
        with context.database.begin() as c:
            seen = store.read(c, caller.workspace_id, post_id, lock=False, accounts=caller.accounts)
            if seen is None:
                raise Refusal(404, "not_found", "There is no such post.")
            _failed(seen, account_ids)
            # the checks before the post: a verdict locks them in the same order
            checks = links.locked(c, caller.workspace_id, _checks(context, c, seen))
            post = _locked(c, caller, post_id)
            if (post.media, post.music_url) != (seen.media, seen.music_url):
                continue
            failed = _failed(post, account_ids)
            store.pin(c, post.id, links.pins_of(checks))
            for part in failed:
                _accept(context, c, post, part)
            recompute(c, post.id)
            advance(context, c, post.id)
        failpoint("steer.retried", post_id)
        context.dispatcher.checks(links.undecided(checks), bulk=caller.bulk)
        context.dispatcher.now()
        return
    raise Refusal(409, "post_in_flight", "The post was changed by others again and again. Repeat it.")


def _failed(post: Steered, account_ids: Sequence[UUID] | None) -> Sequence[Part]:
    """What is to be sent again. Raises Refusal when there is nothing that may be."""
    status = status_now(post)
    if status not in RETRIABLE:
        said = f"The post is {status}: only failed and partial posts are retried."
        raise Refusal(400, "validation_failed", said)
    failed = [p for p in _chosen(post, account_ids) if p.state is State.FAILED]
    if not failed:
        raise Refusal(400, "validation_failed", "Nothing of it has failed for these accounts.")
    sendable = [p for p in failed if not p.shown_live]
    if not sendable:
        said = "The platform shows it live although it was given up: look at it, nothing is sent again."
        raise Refusal(409, "post_in_flight", said)
    return sendable


def _checks(context: Context, c: Connection, post: Steered) -> Mapping[int, Check]:
    """Fresh ones. Where a delivery failed because its file is not what was checked, an old check tells nothing."""
    music = rules.music_link_of(context, post.music_url)
    wanted = links.links_of(post.media, music)
    codes = {(p.error or {}).get("code") for p in post.parts if p.state is State.FAILED}
    stale = {url for n, _, url in wanted if n != links.MUSIC} if codes & MEDIA_FAULTS else set()
    return links.open_checks(context, c, post.workspace_id, wanted, stale)


MEDIA_FAULTS = frozenset({"media_changed", "media_unreachable"})


def _accept(context: Context, c: Connection, post: Steered, part: Part) -> None:
    """Back to the start, with the handle of a try that was proven absent: that one is to be finished, no other."""
    lead = context.adapters[part.platform].capabilities.prepare_lead
    expired = (part.error or {}).get("code") == "expired"
    store.put(
        c,
        context.vault,
        part,
        State.ACCEPTED,
        Mover.RETRY,
        due_at=post.due_at,
        next_at=next_at(post.due_at, lead),
        why="retried",
        keep=part.reused,
        error=part.error if expired else None,
    )
