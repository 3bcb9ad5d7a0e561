"""Approve a post as it is, or send it back to its author: by a person, a key that may, a job of a filter, or a link.

An approval names the hash of what was shown (``post_digest``); if the post is another one by then, nothing is approved.
The author of a post, and its last editor, never approve it, unless the workspace allows that.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.edit import dispatch_first, edit
from pipeline.actions.post_changes import Change, refuse_stale, require_post
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import SETTLED
from pipeline.domain.post import NO_TIME
from pipeline.recovery.restore import refuse_unresolved
from pipeline.runtime.context import Context
from pipeline.stages.mandate import CODE as MANDATE
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.stages.post_state import compute_version
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import COMMAND_LINE, Caller, read_caller
from pipeline.store.database import new_id
from pipeline.store.posts import actions as store
from pipeline.store.posts import approvals
from pipeline.store.posts.actions import LockedPost
from pipeline.store.posts.approvals import Approval, ApprovalLink
from pipeline.store.posts.idempotency import list_open_posts
from pipeline.store.posts.views import read_post

CHANGED = "approval_changed"
LINK_PATH = "/dashboard/approve/{token}"
MOST_POSTS = 100
"""Posts of one link."""


def find_approval(c: Connection, caller: Caller, post_id: UUID) -> Approval | None:
    """Return the approval of a post; None if it needs none. Raises Refusal 404."""
    require_post(c, caller, post_id, lock=False)
    return approvals.read_approvals(c, [post_id]).get(post_id)


def approve(
    context: Context, caller: Caller, post_id: UUID, shown: str, due_at: datetime | None = None
) -> Approval:
    """Approve a post that is what the hash *shown* stands for, and move it to *due_at* if that is given.

    Raises Refusal: 404 not_found · 403 mandate_exceeded for a caller that may not approve it · 409 approval_changed for
    another hash or media that are still checked · 400 if it needs no approval, or has no time that is to come; and as
    ``edit``.
    """
    refuse_unresolved(context)
    try:
        version = None if due_at is None else _move(context, caller, post_id, shown, due_at)
        with context.database.begin() as c:
            post = require_post(c, caller, post_id)
            refuse_stale(c, caller, post_id, version)
            if version is None:
                _refuse_without_time(post)
            _give(c, caller, post, shown if version is None else None)
            found = _require(c, post_id)
    except Refusal as refusal:
        if refusal.code == "precondition_failed":
            raise _changed() from None
        raise
    dispatch_first(context, [post.now])
    return found


def _move(context: Context, caller: Caller, post_id: UUID, shown: str, due_at: datetime) -> str:
    """Give the post its new time, if it is what was shown, and return its tag then; it is not approved yet."""
    with context.database.begin() as c:
        found = _require(c, post_id)
        _refuse_approver(caller, found)
        _refuse_other(found, shown)
        view = read_post(c, caller.workspace_id, post_id, caller.accounts)
    if view is None:
        raise _changed()
    change = Change(given=frozenset({"scheduled_at"}), scheduled_at=due_at, shifts=True, by_approver=True)
    edited = edit(context, caller, post_id, change, f'"{compute_version(view)}"')
    return f'"{edited.version}"'


def approve_locked(c: Connection, caller: Caller, post: LockedPost, shown: str | None) -> None:
    """Approve a post under its lock; *shown* None: as it is. Raises Refusal as ``approve``."""
    _refuse_without_time(post)
    _give(c, caller, post, shown)


def _give(c: Connection, caller: Caller, post: LockedPost, shown: str | None) -> None:
    found = _require(c, post.id)
    _refuse_approver(caller, found)
    _refuse_other(found, shown)
    if not approvals.approve(c, post.id, shown, caller.author):
        raise _changed()
    _record(c, caller, "approve", post, {"hash": found.hash})


def send_back(context: Context, caller: Caller, post_id: UUID, shown: str, why: str) -> Approval:
    """Send a post back to its author, who has to change it: until then it waits. Raises Refusal as ``approve``."""
    with context.database.begin() as c:
        _send_back(c, caller, post_id, shown, why)
        return _require(c, post_id)


def _send_back(c: Connection, caller: Caller, post_id: UUID, shown: str, why: str) -> None:
    post, found = require_post(c, caller, post_id), _require(c, post_id)
    _refuse_approver(caller, found)
    _refuse_other(found, shown)
    if any(part.armed for part in post.deliveries):
        raise Refusal(409, "post_in_flight", "The post is being sent, or may be live already.")
    approvals.send_back(c, post_id, why)
    _record(c, caller, "send back", post, {"why": why})


def demand(context: Context, caller: Caller, key: UUID | None = None) -> int:
    """Have the open posts of a key, or of the whole workspace, wait for an approval; return how many did not before.

    What is armed goes on. If this process dies, the same command again reaches the rest.
    """
    with context.database.begin() as c:
        ids = list_open_posts(c, caller.workspace_id, key)
    count = 0
    for post_id in ids:
        with context.database.begin() as c:
            if store.read(c, caller.workspace_id, post_id, lock=True) is not None:
                count += approvals.demand_of(c, [post_id], caller.author)
    return count


# --- links -----------------------------------------------------------------------------------------------------------


def make_link(
    context: Context, caller: Caller, post_ids: Sequence[UUID], lasts: timedelta
) -> tuple[str, ApprovalLink]:
    """Make a link that takes one answer to each of these posts; return its token, which is not stored.

    Its maker could use it, and so has to be one that may approve these posts. Raises Refusal.
    """
    token = secrets.token_urlsafe(32)
    with context.database.begin() as c:
        for post_id in post_ids:
            require_post(c, caller, post_id, lock=False)
            _refuse_approver(caller, _require(c, post_id))
        link = ApprovalLink(
            id=new_id(),
            workspace_id=caller.workspace_id,
            posts=list(dict.fromkeys(post_ids)),
            answered=(),
            maker=caller.author,
            expires_at=require_post(c, caller, post_ids[0], lock=False).now + lasts,
        )
        approvals.add_link(c, token, link)
        posts = [str(one) for one in link.posts]
        after = {"posts": posts, "expires_at": link.expires_at}
        record_change(c, caller.actor, "create", "approval link", link.id, link.workspace_id, after=after)
    return token, link


def take_back_link(context: Context, caller: Caller, link_id: UUID) -> None:
    """End a link at once; what it has answered stays. Raises Refusal 404 for one that does not work any more."""
    with context.database.begin() as c:
        link = approvals.drop_link(c, caller.workspace_id, link_id)
        if link is None:
            raise Refusal(404, "not_found", "There is no such link, or its time is over.")
        before = {"posts": [str(one) for one in link.posts], "expires_at": link.expires_at}
        record_change(
            c, caller.actor, "take back", "approval link", link.id, link.workspace_id, before=before
        )


def answer_by_link(context: Context, token: str, post_id: UUID, shown: str, why: str | None) -> None:
    """Approve a post, or send it back with *why*, in the name of a link. Raises Refusal, 404 for an unknown link."""
    refuse_unresolved(context)
    with context.database.begin() as c:
        link = approvals.find_link(c, token)
        caller = None if link is None else build_link_caller(c, link)
        if link is None or caller is None or post_id not in link.posts:
            raise Refusal(404, "not_found", "There is no such link, or its time is over.")
        post = require_post(c, caller, post_id)
        if not approvals.answer_once(c, link.id, post_id):
            raise Refusal(409, CHANGED, "This link has answered for this post already.")
        if why is None:
            approve_locked(c, caller, post, shown)
        else:
            _send_back(c, caller, post_id, shown, why)
    dispatch_first(context, [post.now])


def build_link_caller(c: Connection, link: ApprovalLink) -> Caller | None:
    """Return the caller that the answers of a link have; None if its workspace is gone."""
    caller, actor = (
        read_caller(c, link.workspace_id, None),
        Actor(kind="system", name=f"approval link {link.id}"),
    )
    return None if caller is None else replace(caller, actor=actor)


# --- refusals --------------------------------------------------------------------------------------------------------


def _require(c: Connection, post_id: UUID) -> Approval:
    found = approvals.read_approvals(c, [post_id]).get(post_id)
    if found is None:
        raise Refusal(400, "validation_failed", "The post needs no approval.")
    return found


def _refuse_approver(caller: Caller, found: Approval) -> None:
    if caller.key_id != COMMAND_LINE and (not caller.limits.may_approve or caller.limits.needs_approval):
        raise Refusal(
            403, MANDATE, "This key may not approve posts: a key with may_approve, or a person, does."
        )
    if caller.author in (found.author, found.editor) and not caller.self_approval:
        message = f"{caller.author} wrote this post or changed it last, and does not approve it."
        raise Refusal(403, MANDATE, message)


def _refuse_other(found: Approval, shown: str | None) -> None:
    if found.is_checking:
        raise Refusal(409, CHANGED, "Its media are being checked: approve it when that is done.")
    if shown not in (None, found.hash):
        raise _changed()


def _changed() -> Refusal:
    return Refusal(409, CHANGED, "The post is not what the hash stands for any more: read it again.")


def _refuse_without_time(post: LockedPost) -> None:
    waiting = [part.due_at for part in post.deliveries if part.state not in SETTLED]
    if any(due_at >= NO_TIME for due_at in waiting):
        raise build_refusal("scheduled_at", "The post is a draft: schedule it, then approve it.")
    if any(due_at <= post.now for due_at in waiting):
        message = (
            f"Its time, {min(waiting).isoformat(timespec='seconds')}, has passed: give a new one, or now."
        )
        raise build_refusal("scheduled_at", message)


def _record(c: Connection, caller: Caller, verb: str, post: LockedPost, after: dict[str, str]) -> None:
    record_change(c, caller.actor, verb, "post", post.id, post.workspace_id, after=after)
