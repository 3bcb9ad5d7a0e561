"""Changing a post that was taken: everything or nothing, and nothing of the old version goes out once it is answered.

Advances nothing by itself. Checks of new media are opened and waited for without a lock; then one transaction locks
the open checks, the post and its deliveries in id order, asks every rule again of what the post says by then, and
raises all generations: messages, claims and uploads of the old version are dead with its commit. A crash before it
leaves the old version untouched, one after it the new one, which the sweep rings for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from adapters.errors import Permanent
from pipeline.context import Context
from pipeline.domain.delivery import Mover, State
from pipeline.domain.post import EDITABLE, PostStatus
from pipeline.domain.schedule import next_at
from pipeline.failpoint import failpoint
from pipeline.recovery.restore import refuse_in_doubt
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.post_request import Content, Refusal, Warned
from pipeline.stages.post_state import in_flight, status_now, version_of
from pipeline.stages.publish import dispatch_at
from pipeline.stages.warnings import warnings_for
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.views import read_post

TRIES = 3
"""How often an edit that others overtook begins again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a client wants changed: of the fields named in ``given`` the values here; shape and types are right."""

    given: frozenset[str]
    caption: str = ""
    media: Mapping[str, Any] | None = None
    account_ids: Sequence[UUID] = ()
    scheduled_at: datetime | None = None
    music_url: str | None = None
    options: Mapping[Platform, Mapping[str, Any] | None] = field(default_factory=dict)
    """The platforms' sections that were sent; None removes one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """The answer: committed."""

    id: UUID
    status: str
    scheduled_at: datetime
    version: str
    warnings: Sequence[Warned] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What an edit makes of a post as it stands."""

    post: LockedPost
    content: Content
    due_at: datetime
    timed: bool
    accounts: Mapping[UUID, AccountRow]
    """Those it is still to go out to, or has been put back on."""
    links: Sequence[links.Link]
    renewed: frozenset[int]
    """Positions whose URL the client sent now."""

    @property
    def kept(self) -> Mapping[int, Check]:
        """Pinned checks that still hold: of what was not sent anew, and not found bad."""
        return {
            n: check
            for n, check in self.post.checks.items()
            if n not in self.renewed
            and check.verdict in (None, "good")
            and n in {link[0] for link in self.links}
        }


def edit(
    context: Context, caller: Caller, post_id: UUID, change: Change, if_match: str | None = None
) -> Edited:
    """Changes a post. Raises Refusal (nothing was changed) and Unreachable.

    404 not_found · 409 external_id_immutable, post_in_flight · 412 precondition_failed · 400 as a new post has them ·
    503 unavailable while a restore of the database is not accepted.
    """
    refuse_in_doubt(context)
    for _ in range(TRIES):
        with context.database.begin() as c:
            plan = _plan(context, c, caller, _found(c, caller, post_id, change, if_match, lock=False), change)
            checks = _checks(context, c, plan)
        fresh = {n: check for n, check in checks.items() if n not in plan.kept}
        if links.undecided(fresh) and plan.renewed:
            fresh = dict(links.wait_for(context, fresh, bulk=caller.bulk))
        links.refuse_unreachable({n: check for n, check in fresh.items() if n in plan.renewed})
        checks = {**checks, **fresh}
        rules.refuse_misfits(context, plan.content, list(plan.accounts.values()), checks)
        if done := _apply(context, caller, post_id, change, if_match, plan, checks):
            edited, firsts = done
            failpoint("edit.committed", post_id)
            context.dispatcher.send_checks(links.undecided(fresh), bulk=caller.bulk)
            ring_first(context, firsts)
            return edited
    raise Refusal(409, "post_in_flight", "Others changed the post again and again. Read it and repeat.")


def ring_first(context: Context, firsts: Iterable[datetime]) -> None:
    """After the commit, for the first of these times. A ring that fails costs a second: the sweep rings again."""
    if first := min(firsts, default=None):
        if first <= datetime.now(first.tzinfo):
            context.dispatcher.send_slot_now()
        else:
            dispatch_at(context, first)


def _found(
    c: Connection, caller: Caller, post_id: UUID, change: Change, if_match: str | None, *, lock: bool
) -> LockedPost:
    """The post, if it may be changed now."""
    post = store.read(c, caller.workspace_id, post_id, lock=lock, accounts=caller.accounts)
    if post is None:
        raise Refusal(404, "not_found", "There is no such post.")
    if "external_id" in change.given:
        raise Refusal(409, "external_id_immutable", "external_id cannot be changed: repeats are known by it.")
    _refuse_stale(c, caller, post_id, if_match)
    status = status_now(post)
    if status not in EDITABLE:
        raise Refusal(400, "validation_failed", f"The post is {status}: it can no longer be changed.")
    refuse_in_flight(post.deliveries)
    return post


def _refuse_stale(c: Connection, caller: Caller, post_id: UUID, if_match: str | None) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    view = read_post(c, caller.workspace_id, post_id, caller.accounts)
    now = None if view is None else f'"{version_of(view)}"'
    if now not in [tag.strip() for tag in if_match.split(",")]:
        raise Refusal(412, "precondition_failed", "The post has changed since you read it: read it again.")


def refuse_in_flight(parts: Iterable[LockedDelivery]) -> None:
    """Raises Refusal 409 when one of these may be live any moment."""
    for part in parts:
        if in_flight(part):
            said = "may still be finished" if part.may_be_live else "is being sent, or may be live already"
            raise Refusal(
                409,
                "post_in_flight",
                f"The part for {part.platform} account {part.account_id} {said}; nothing was changed.",
            )


def _plan(context: Context, c: Connection, caller: Caller, post: LockedPost, change: Change) -> _Plan:
    """What the post would be, held to every rule that does not need its media."""
    given = change.given
    content = Content(
        caption=change.caption if "caption" in given else post.caption,
        media=change.media if change.media is not None else post.media,
        music_url=change.music_url if "music_url" in given else post.music_url,
        options={
            p: options for p, options in {**post.options, **change.options}.items() if options is not None
        },
    )
    timed = "scheduled_at" in given
    due_at = rules.due_at_of(change.scheduled_at, post.now) if timed else post.due_at
    if timed and post.expires_at is not None and post.expires_at <= due_at:
        said = f"scheduled_at must be earlier than the post's expires_at, {post.expires_at.isoformat()}."
        raise rules.invalid("scheduled_at", said)
    accounts = _accounts(c, caller, post, change)
    rules.refuse_mixed(context, content, accounts)
    for refusal in rules.find_media_conflicts(context, content):
        raise refusal
    out = {p.account_id for p in post.deliveries if p.state is State.PUBLISHED}
    going = {a.id: a for a in accounts if a.id not in out}
    rules.refuse_misfits(context, content, list(going.values()), {})
    wanted = links.links_of(content.media, rules.music_link_of(context, content.music_url))
    renewed = {n for n, *_ in wanted if ("music_url" if n == links.MUSIC else "media") in given}
    return _Plan(
        post=post,
        content=content,
        due_at=due_at,
        timed=timed,
        accounts=going,
        links=wanted,
        renewed=frozenset(renewed),
    )


def _accounts(c: Connection, caller: Caller, post: LockedPost, change: Change) -> Sequence[AccountRow]:
    """The accounts sent; else those it has, in use or not: who edits a caption did not choose them now."""
    if "accounts" in change.given:
        return rules.accounts_of(c, caller, change.account_ids)
    ids = [p.account_id for p in post.deliveries if p.state is not State.CANCELLED]
    return find_accounts(c, caller.workspace_id, ids)


def _checks(context: Context, c: Connection, plan: _Plan) -> dict[int, Check]:
    """A check for every link: the pinned ones that still hold, and new ones."""
    kept, positions = plan.kept, {n for n, *_ in plan.links}
    missing = [link for link in plan.links if link[0] not in kept]
    if not plan.renewed and not _reviving(plan):
        # it stays failed: what is wrong with its media is looked at when it is retried
        return {n: check for n, check in plan.post.checks.items() if n in positions}
    return {**kept, **links.open_checks(context, c, plan.post.workspace_id, missing)}


def _reviving(plan: _Plan) -> bool:
    """Whether anything of the post is to go out after this edit."""
    return plan.timed or status_now(plan.post) is not PostStatus.FAILED


def _apply(
    context: Context,
    caller: Caller,
    post_id: UUID,
    change: Change,
    if_match: str | None,
    before: _Plan,
    checks: Mapping[int, Check],
) -> tuple[Edited, Sequence[datetime]] | None:
    """The one transaction. None: others changed the post meanwhile so that other checks are needed."""
    with context.database.begin() as c:
        checks = links.locked(
            c, caller.workspace_id, checks
        )  # before the post: a verdict locks them in the same order
        links.refuse_unreachable({n: check for n, check in checks.items() if n in before.renewed})
        plan = _plan(context, c, caller, _found(c, caller, post_id, change, if_match, lock=True), change)
        overtaken = list(plan.links) != list(before.links) or links.pins_of(plan.kept) != links.pins_of(
            before.kept
        )
        soured = _reviving(plan) and any(
            check.verdict in ("refused", "unanswered") for check in checks.values()
        )
        if overtaken or soured or _reviving(plan) != _reviving(before):
            return None
        rules.refuse_misfits(context, plan.content, list(plan.accounts.values()), checks)
        firsts = _write(context, c, plan, checks)
        return _answer(context, c, caller, plan, checks), firsts


def _write(context: Context, c: Connection, plan: _Plan, checks: Mapping[int, Check]) -> Sequence[datetime]:
    """Stores it. When work on each of its deliveries starts."""
    post, says = plan.post, plan.content
    store.rewrite(
        c,
        post,
        caption=says.caption,
        media=says.media,
        music_url=says.music_url,
        options=says.options,
        due_at=plan.due_at,
    )
    store.pin_checks(c, post.id, links.pins_of(checks))
    goes_on = State.SCHEDULED if links.all_good(checks) else State.ACCEPTED
    firsts: list[datetime] = []
    for part in post.deliveries:
        target = _target(plan, part, goes_on)
        if target is not None:
            firsts += _put(context, c, plan, part, target)
    resting = not _reviving(plan)
    for account in plan.accounts.values():
        if account.id not in {p.account_id for p in post.deliveries}:
            start = _start(context, plan, account)
            error = error_to_dict(Resting()) if resting else None
            store.add_delivery(
                c,
                post,
                account.id,
                account.platform,
                State.FAILED if resting else goes_on,
                due_at=plan.due_at,
                next_at=start,
                why="an edit added the account",
                error=error,
            )
            firsts += [] if resting else [start]
    return firsts


def _target(plan: _Plan, part: LockedDelivery, goes_on: State) -> State | None:
    """Where a delivery goes; None: it is left alone."""
    if part.state is State.PUBLISHED:
        return None
    if part.account_id not in plan.accounts:
        return None if part.state is State.CANCELLED else State.CANCELLED
    rests = part.state is State.FAILED or not _reviving(plan)
    return State.FAILED if rests and not plan.timed else goes_on


def _put(
    context: Context, c: Connection, plan: _Plan, part: LockedDelivery, target: State
) -> Sequence[datetime]:
    mover = Mover.CANCEL if target is State.CANCELLED and part.state is not State.FAILED else Mover.EDIT
    if target is State.CANCELLED:
        store.move_locked(
            c,
            context.vault,
            part,
            target,
            mover,
            due_at=part.due_at,
            next_at=part.due_at,
            why="an edit took the account off",
            error=part.error,
        )
        return ()
    start = _start(context, plan, plan.accounts[part.account_id])
    error = part.error or error_to_dict(Resting()) if target is State.FAILED else None
    store.move_locked(
        c,
        context.vault,
        part,
        target,
        mover,
        due_at=plan.due_at,
        next_at=start,
        why="edited",
        error=error,
    )
    return () if target is State.FAILED else [start]


def _start(context: Context, plan: _Plan, account: AccountRow) -> datetime:
    return next_at(plan.due_at, context.adapters[account.platform].capabilities.prepare_lead)


def _answer(
    context: Context, c: Connection, caller: Caller, plan: _Plan, checks: Mapping[int, Check]
) -> Edited:
    recompute_post_status(c, plan.post.id)
    view = read_post(c, caller.workspace_id, plan.post.id)
    post = store.read(c, caller.workspace_id, plan.post.id, lock=False)
    if view is None or post is None:
        raise LookupError("The post went away under its lock.")
    status = status_now(post)
    warnings = [
        Warned(
            field="accounts",
            code="ALREADY_PUBLISHED",
            message=f"{p.platform} account {p.account_id} has the post as it was: it is published and stays as it is.",
        )
        for p in post.deliveries
        if p.state is State.PUBLISHED
    ]
    if any(p.state is State.FAILED for p in post.deliveries):
        message = "What has failed stays failed until it is retried or given a time."
        warnings.append(Warned(field="scheduled_at", code="STILL_FAILED", message=message))
    if status is not PostStatus.FAILED:
        warnings += warnings_for(context, c, plan.content, list(plan.accounts.values()), plan.due_at, checks)
    return Edited(
        id=plan.post.id, status=status, scheduled_at=plan.due_at, version=version_of(view), warnings=warnings
    )


class Resting(Permanent):
    """An account that was put on a post that has failed: it waits with the others."""

    code = "not_sent_yet"

    def __init__(self) -> None:
        super().__init__("The post had failed when this account was added. Retry it, or give it a time.")
