"""Edit a post: all changes or none, and nothing of the old version is published once the edit is answered.

The checks of new media are opened and awaited without a lock. Then one transaction locks the open checks, the post and
its deliveries in id order, applies every rule to the post as it is by then, and raises the generations of what it
changes: its commit ends the messages, claims and uploads of the old version. A crash leaves the old version, or the new
one, which is swept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.actions.edit_plan import EditPlan, plan_edit
from pipeline.actions.post_changes import (
    Change,
    EditResult,
    record_edit,
    refuse_in_flight,
    refuse_stale,
    require_post,
)
from pipeline.domain.delivery import Mover, State, may_be_changed
from pipeline.domain.delivery_error import NotSentYet
from pipeline.domain.level import find_post_level
from pipeline.domain.post import EDITABLE, NO_TIME, OPEN, PostStatus, next_at
from pipeline.recovery.restore import refuse_unresolved
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.delay import dispatch_at
from pipeline.stages.new_post import build_delivery, digest_contents
from pipeline.stages.platform_limits import is_inbox_draft
from pipeline.stages.post_request import AcceptanceWarning, PostContent, Refusal
from pipeline.stages.post_state import compute_status, compute_version, derive_status
from pipeline.stages.replay import claim_key, find_open_warnings, refuse_claimed
from pipeline.stages.warnings import find_warnings
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.idempotency_keys import IdempotencyKey
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery
from pipeline.store.posts.approvals import note_edit
from pipeline.store.posts.pins import pin_checks
from pipeline.store.posts.rewrites import mark_deliveries, rewrite, rewrite_comments
from pipeline.store.posts.views import read_post

TRIES = 3
"""How often an edit that another change overtook starts again."""


def edit(
    context: Context,
    caller: Caller,
    post_id: UUID,
    change: Change,
    if_match: str | None = None,
    key: IdempotencyKey | None = None,
) -> EditResult:
    """Edit a post. Raises Refusal (nothing is changed), Unreachable, and as ``claim_key``.

    Refusals: 404 not_found · 409 external_id_immutable, post_in_flight, newer_version · 412 precondition_failed ·
    400 as for a new post · 503 unavailable while a restore of the database is not accepted.
    """
    refuse_unresolved(context)
    work = _Edit(context=context, caller=caller, post_id=post_id, change=change, if_match=if_match)
    for _ in range(TRIES):
        with context.database.begin() as c:
            refuse_claimed(c, key)  # before the post, which the earlier request has changed
            plan = work.plan(c)
            checks = _open_checks(context, c, plan)
        fresh = plan.pick_fresh(checks)
        if media_checks.list_undecided(fresh) and plan.renewed:
            fresh = dict(media_checks.await_checks(context, fresh, bulk=caller.bulk))
        media_checks.refuse_unreachable({n: check for n, check in fresh.items() if n in plan.renewed})
        checks = {**checks, **fresh}
        rules.refuse_problems(context, caller, plan.content, list(plan.accounts.values()), checks)
        with context.database.begin() as c:
            claim_key(c, key, post_id)
            done = work.apply(c, plan, checks)
            if done is None:
                c.rollback()  # the next try claims the key again
        if done is not None:
            edited, firsts = done
            failpoint("edit.committed", post_id)
            context.dispatcher.send_checks(media_checks.list_undecided(fresh), bulk=caller.bulk)
            dispatch_first(context, firsts)
            return edited
    raise Refusal(
        409, "post_in_flight", "The post changed several times during the request. Read it and repeat."
    )


def find_edited(context: Context, caller: Caller, post_id: UUID) -> EditResult | None:
    """Return the post of an earlier edit as it is now; None if it was deleted since."""
    with context.database.begin() as c:
        view = read_post(c, caller.workspace_id, post_id, caller.accounts)
        if view is None:
            return None
        status = derive_status(view)
        named = {post_id: caller.accounts is None} if status in OPEN else {}
        warnings = find_open_warnings(context, c, named)
    return EditResult(
        id=post_id,
        status=status,
        scheduled_at=view.scheduled_at,
        version=compute_version(view),
        warnings=warnings.get(post_id, ()),
    )


def check_edit(context: Context, c: Connection, caller: Caller, post_id: UUID, change: Change) -> EditPlan:
    """Return the plan of an edit; nothing is changed.

    Raises the Refusal that ``edit`` would raise now, but for media that are not checked yet.
    """
    refuse_unresolved(context)
    return _Edit(context=context, caller=caller, post_id=post_id, change=change).plan(c)


def edit_within(
    context: Context, c: Connection, caller: Caller, post_id: UUID, change: Change
) -> tuple[Sequence[datetime], Sequence[UUID]] | None:
    """Edit all but media, without a commit; return when deliveries start and the checks to send.

    None when the post changed concurrently and needs other checks.
    """
    work = _Edit(context=context, caller=caller, post_id=post_id, change=change)
    plan = work.plan(c)
    checks = _open_checks(context, c, plan)
    done = work.apply(c, plan, checks)
    return None if done is None else (done[1], media_checks.list_undecided(plan.pick_fresh(checks)))


def dispatch_first(context: Context, firsts: Iterable[datetime]) -> None:
    """Dispatch for the first of these times, after the commit. If this fails, the sweep does it within a second."""
    if first := min(firsts, default=None):
        if first <= datetime.now(first.tzinfo):
            context.dispatcher.send_slot_now()
        else:
            dispatch_at(context, first)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Edit:
    """An edit that a caller asks for."""

    context: Context
    caller: Caller
    post_id: UUID
    change: Change
    if_match: str | None = None

    def plan(self, c: Connection, *, lock: bool = False) -> EditPlan:
        """Return what it makes of the post as it is now. Raises Refusal when it may not be changed now, or not so."""
        post, change = require_post(c, self.caller, self.post_id, lock=lock), self.change
        if "external_id" in change.given and (
            change.external_id is None or change.external_id != post.external_id
        ):
            raise Refusal(
                409,
                "external_id_immutable",
                "external_id cannot be changed: it identifies repeated requests.",
            )
        refuse_stale(c, self.caller, self.post_id, self.if_match)
        status, undoes = compute_status(post), change.undoes
        if undoes is None:
            _refuse_draft(status, change)
        if status not in EDITABLE and not change.restores:
            raise Refusal(400, "validation_failed", f"The post is {status}: it can no longer be changed.")
        if undoes is not None:
            undoes.refuse_changed(post)
        if not change.restores or change.given:
            refuse_in_flight(post.deliveries)
        return plan_edit(self.context, c, self.caller, post, change)

    def apply(
        self, c: Connection, before: EditPlan, checks: Mapping[int, Check]
    ) -> tuple[EditResult, Sequence[datetime]] | None:
        """Apply it; None when the post changed concurrently and needs other checks."""
        context, caller = self.context, self.caller
        # lock order: checks, then the post, as a verdict does
        checks = media_checks.lock_checks(c, caller.workspace_id, checks)
        media_checks.refuse_unreachable({n: check for n, check in checks.items() if n in before.renewed})
        plan = self.plan(c, lock=True)
        overtaken = list(plan.links) != list(before.links) or media_checks.map_check_ids(
            plan.kept
        ) != media_checks.map_check_ids(before.kept)
        turned_bad = any(k.verdict not in (None, "good") for k in checks.values()) and plan.can_publish
        if overtaken or turned_bad or plan.can_publish != before.can_publish:
            return None
        rules.refuse_problems(context, caller, plan.content, list(plan.accounts.values()), checks)
        needs_approval = caller.needs_approval or plan.post.needs_approval
        firsts = _write(context, c, plan, checks, needs_approval=needs_approval)
        if not self.change.by_approver:
            note_edit(c, caller, self.post_id)
        return _build_result(context, c, caller, plan, checks), firsts


def _refuse_draft(status: PostStatus, change: Change) -> None:
    """Raise Refusal for a time of a draft by another way than its scheduling, and for scheduling another post."""
    has_time = "scheduled_at" in change.given or any(one.has_time for one in change.own.values())
    if change.schedules and status is not PostStatus.DRAFT:
        message = f"The post is {status}: only a draft is scheduled; PATCH changes the time of another post."
        raise Refusal(400, "validation_failed", message)
    if change.draft and status is not PostStatus.DRAFT:
        raise rules.build_refusal("draft", f"The post is {status}: it does not become a draft again.")
    if status is PostStatus.DRAFT and has_time and not change.schedules:
        raise rules.build_refusal(
            "scheduled_at", "The post is a draft: schedule it by POST /posts/{id}/schedule."
        )


def _open_checks(context: Context, c: Connection, plan: EditPlan) -> dict[int, Check]:
    """Return a check for every link: the pinned ones that still hold, and new ones."""
    kept, positions = plan.kept, {n for n, *_ in plan.links}
    missing = [link for link in plan.links if link[0] not in kept]
    if not plan.renewed and not plan.can_publish:
        # the post stays failed: its media are checked when it is retried
        return {n: check for n, check in plan.post.checks.items() if n in positions}
    opened = media_checks.open_checks(context, c, plan.post.workspace_id, missing, due_at=plan.due_at)
    return {**kept, **opened}


def _write(
    context: Context, c: Connection, plan: EditPlan, checks: Mapping[int, Check], *, needs_approval: bool
) -> Sequence[datetime]:
    """Store the new version and return when work on each of its deliveries starts."""
    post, says = plan.post, plan.content
    if not plan.restored:
        rewrite(
            c,
            post,
            caption=says.caption,
            media=says.media,
            music_url=says.music_url,
            options=says.options,
            ai_generated=says.ai_generated,
            first_comment=says.first_comment,
            due_at=plan.due_at,
        )
    targets = {part.id: _target_state(plan, part, checks) for part in post.deliveries}
    changed = [p.account_id for p in post.deliveries if targets[p.id] not in (None, State.CANCELLED)]
    accounts = {p.account_id: p.platform for p in post.deliveries}
    drafts = {a for a, platform in accounts.items() if _is_draft(context, says, a, platform)}
    level = find_post_level(says.level, is_draft=plan.due_at >= NO_TIME, needs_approval=needs_approval)
    contents = digest_contents(says, [*changed, *plan.accounts])
    mark_deliveries(c, post, level, drafts, {account: says.own.get(account) for account in changed}, contents)
    pin_checks(c, post.id, media_checks.map_check_ids(checks))
    firsts: list[datetime] = []
    for part in post.deliveries:
        target = targets[part.id]
        if target is not None:
            firsts += _move_delivery(context, c, plan, part, target)
    for account in plan.accounts.values():
        if account.id not in {p.account_id for p in post.deliveries}:
            due_at, rests = plan.dues[account.id], plan.rests(account.id)
            state = State.FAILED if rests else _find_next_state(plan, account.id, checks)
            new = build_delivery(context, says, account, due_at, contents[account.id], state)
            error = error_to_dict(NotSentYet()) if rests else None
            store.add_delivery(c, post, new, due_at=due_at, why="an edit added the account", error=error)
            firsts += [] if rests else [new.next_at]
    firsts += _write_comments(context, c, plan, needs_approval=needs_approval)
    if plan.undoes is not None:
        plan.undoes.finish(c, post)
    return firsts


def _write_comments(
    context: Context, c: Connection, plan: EditPlan, *, needs_approval: bool
) -> Sequence[datetime]:
    """Change the first comments that are not sent yet where the post is live.

    One that is taken off is not sent, nor one that is changed on a post that needs approval: none would approve it.
    """
    post, live = plan.post, [part for part in plan.post.deliveries if part.state is State.PUBLISHED]
    before = {part.account_id: (part.own and part.own.first_comment) or post.first_comment for part in live}
    after = {account: plan.content.for_account(account).first_comment for account in before}
    texts = {i: None if needs_approval else after[i] for i in before if after[i] != before[i]}
    if not texts:
        return ()
    comments = {i: one for i, one in store.lock_comments(c, post).items() if i in texts and _may_change(one)}
    by_post = {part.id: texts[part.account_id] for part in live if part.account_id in texts}
    rewrite_comments(c, by_post, {one.id: texts[i] for i, one in comments.items()})
    for account, one in comments.items():
        target = State.SCHEDULED if texts[account] else State.CANCELLED
        if one.state is not State.CANCELLED or target is State.SCHEDULED:
            mover = Mover.EDIT if texts[account] else Mover.CANCEL
            why = "an edit changed the first comment"
            store.move_locked(
                c, context.vault, one, target, mover, due_at=one.due_at, next_at=post.now, why=why
            )
    return [post.now]


def _may_change(comment: LockedDelivery) -> bool:
    return comment.state is State.CANCELLED or may_be_changed(comment.state, armed=comment.armed)


def _is_draft(context: Context, content: PostContent, account: UUID, platform: Platform) -> bool:
    return is_inbox_draft(context.adapters[platform], content.for_account(account).options.get(platform))


def _find_next_state(plan: EditPlan, account: UUID, checks: Mapping[int, Check]) -> State:
    """Return the state of a delivery that goes on: what it publishes is checked, or is to be."""
    is_good = media_checks.are_all_good(plan.pick_checks(account, checks))
    return State.SCHEDULED if is_good else State.ACCEPTED


def _target_state(plan: EditPlan, part: LockedDelivery, checks: Mapping[int, Check]) -> State | None:
    """Return the state an edit moves a delivery to; None: it stays as it is."""
    if part.state is State.PUBLISHED or (plan.restored and part.id not in plan.restored):
        return None
    if part.account_id not in plan.accounts:
        return None if part.state is State.CANCELLED else State.CANCELLED
    if plan.leaves(part, checks):
        return None
    had_failed = plan.undoes is not None and part.id in plan.undoes.failed
    rests = part.state is State.FAILED or had_failed or plan.rests(part.account_id)
    if rests and part.account_id not in plan.timed:
        return State.FAILED
    return _find_next_state(plan, part.account_id, checks)


def _move_delivery(
    context: Context, c: Connection, plan: EditPlan, part: LockedDelivery, target: State
) -> Sequence[datetime]:
    due_at = start = part.due_at
    mover, error, why = Mover.EDIT, part.error, "an edit took the account off"
    if target is not State.CANCELLED:
        due_at = plan.dues[part.account_id]
        start = next_at(due_at, context.adapters[part.platform].capabilities.prepare_lead)
        error = part.error or error_to_dict(NotSentYet()) if target is State.FAILED else None
        why = "edited" if plan.undoes is None else "a change was undone"
    elif part.state is not State.FAILED:
        mover = Mover.CANCEL
    store.move_locked(
        c,
        context.vault,
        part,
        target,
        mover,
        due_at=due_at,
        next_at=start,
        why=why,
        error=error,
        removed=target is State.CANCELLED,
    )
    return () if target in (State.FAILED, State.CANCELLED) else [start]


def _build_result(
    context: Context, c: Connection, caller: Caller, plan: EditPlan, checks: Mapping[int, Check]
) -> EditResult:
    recompute_post_status(c, plan.post.id)
    view = read_post(c, caller.workspace_id, plan.post.id)
    post = store.read(c, caller.workspace_id, plan.post.id, lock=False)
    if view is None or post is None:
        raise LookupError("The post disappeared under its lock.")
    record_edit(c, caller.actor, plan.post, post, plan.undoes)
    status = compute_status(post)
    warnings = [
        AcceptanceWarning(
            field="accounts",
            code="ALREADY_PUBLISHED",
            message=f"{p.platform} account {p.account_id} keeps the version that is published there.",
        )
        for p in post.deliveries
        if p.state is State.PUBLISHED
    ]
    if any(p.state is State.FAILED for p in post.deliveries):
        message = "The failed deliveries stay failed until the post is retried or given a time."
        warnings.append(AcceptanceWarning(field="scheduled_at", code="STILL_FAILED", message=message))
    if status is not PostStatus.FAILED:
        accounts, named = list(plan.accounts.values()), caller.accounts is None
        warnings += find_warnings(
            context, c, plan.post.id, plan.content, accounts, plan.dues, checks, named=named
        )
    return EditResult(
        id=plan.post.id,
        status=status,
        scheduled_at=view.scheduled_at,
        version=compute_version(view),
        warnings=warnings,
    )
