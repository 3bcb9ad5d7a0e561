"""Edit a post: all changes or none, and nothing of the old version is published once the edit is answered.

The checks of new media are opened and awaited without a lock. Then one transaction locks the open checks, the post and
its deliveries in id order, applies every rule to the post as it is by then, and raises all generations: its commit ends
the messages, claims and uploads of the old version. A crash leaves the old version, or the new one, which is swept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.post_changes import Change, EditResult, record_edit
from pipeline.domain.delivery import Mover, State
from pipeline.domain.delivery_error import NotSentYet
from pipeline.domain.post import EDITABLE, PostStatus, next_at
from pipeline.recovery.restore import refuse_unresolved
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.delay import dispatch_at
from pipeline.stages.drafts import MUSIC
from pipeline.stages.platform_limits import is_inbox_draft
from pipeline.stages.post_request import AcceptanceWarning, PostContent, Refusal
from pipeline.stages.post_state import compute_status, compute_version, is_current, is_in_flight
from pipeline.stages.warnings import find_warnings
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.database import new_id
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.insert_batch import NewDelivery
from pipeline.store.posts.pins import pin_checks
from pipeline.store.posts.views import read_post

TRIES = 3
"""How often an edit that another change overtook starts again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """The version that an edit makes of the present post."""

    post: LockedPost
    content: PostContent
    due_at: datetime
    timed: bool
    accounts: Mapping[UUID, AccountRow]
    """The accounts that the post is still to be published to."""
    links: Sequence[media_checks.Link]
    renewed: frozenset[int]
    """Positions whose URL this edit sends."""

    @property
    def kept(self) -> Mapping[int, Check]:
        """The pinned checks that still hold: of links this edit does not send, and not found bad."""
        return {
            n: check
            for n, check in self.post.checks.items()
            if n not in self.renewed
            and check.verdict in (None, "good")
            and n in {link[0] for link in self.links}
        }


def edit(
    context: Context, caller: Caller, post_id: UUID, change: Change, if_match: str | None = None
) -> EditResult:
    """Edit a post. Raises Refusal (nothing is changed) and Unreachable.

    Refusals: 404 not_found · 409 external_id_immutable, post_in_flight, newer_version · 412 precondition_failed ·
    400 as for a new post · 503 unavailable while a restore of the database is not accepted.
    """
    refuse_unresolved(context)
    for _ in range(TRIES):
        with context.database.begin() as c:
            seen = _read_editable(c, caller, post_id, change, if_match, lock=False)
            plan = _plan(context, c, caller, seen, change)
            checks = _open_checks(context, c, plan)
        fresh = {n: check for n, check in checks.items() if n not in plan.kept}
        if media_checks.list_undecided(fresh) and plan.renewed:
            fresh = dict(media_checks.await_checks(context, fresh, bulk=caller.bulk))
        media_checks.refuse_unreachable({n: check for n, check in fresh.items() if n in plan.renewed})
        checks = {**checks, **fresh}
        rules.refuse_problems(context, caller, plan.content, list(plan.accounts.values()), checks)
        with context.database.begin() as c:
            done = _apply(context, c, caller, post_id, change, if_match, plan, checks)
        if done is not None:
            edited, firsts = done
            failpoint("edit.committed", post_id)
            context.dispatcher.send_checks(media_checks.list_undecided(fresh), bulk=caller.bulk)
            dispatch_first(context, firsts)
            return edited
    raise Refusal(
        409, "post_in_flight", "The post changed several times during the request. Read it and repeat."
    )


def check_edit(context: Context, c: Connection, caller: Caller, post_id: UUID, change: Change) -> None:
    """Raise the Refusal that ``edit`` would raise now, but for media that are not checked yet. Nothing is changed."""
    refuse_unresolved(context)
    _plan(context, c, caller, _read_editable(c, caller, post_id, change, None, lock=False), change)


def edit_within(
    context: Context, c: Connection, caller: Caller, post_id: UUID, change: Change
) -> tuple[Sequence[datetime], Sequence[UUID]] | None:
    """Edit all but media, without a commit; return when deliveries start and the checks to send, None as _apply."""
    plan = _plan(context, c, caller, _read_editable(c, caller, post_id, change, None, lock=False), change)
    checks = _open_checks(context, c, plan)
    done = _apply(context, c, caller, post_id, change, None, plan, checks)
    fresh = {n: check for n, check in checks.items() if n not in plan.kept}
    return None if done is None else (done[1], media_checks.list_undecided(fresh))


def dispatch_first(context: Context, firsts: Iterable[datetime]) -> None:
    """Dispatch for the first of these times, after the commit. If this fails, the sweep does it within a second."""
    if first := min(firsts, default=None):
        if first <= datetime.now(first.tzinfo):
            context.dispatcher.send_slot_now()
        else:
            dispatch_at(context, first)


def _read_editable(
    c: Connection, caller: Caller, post_id: UUID, change: Change, if_match: str | None, *, lock: bool
) -> LockedPost:
    """Read the post. Raises Refusal when it may not be changed now."""
    post = store.read(c, caller.workspace_id, post_id, lock=lock, accounts=caller.accounts)
    if post is None:
        raise Refusal(404, "not_found", "There is no such post.")
    if "external_id" in change.given and (
        change.external_id is None or change.external_id != post.external_id
    ):
        raise Refusal(
            409, "external_id_immutable", "external_id cannot be changed: it identifies repeated requests."
        )
    _refuse_stale(c, caller, post_id, if_match)
    status = compute_status(post)
    if status not in EDITABLE:
        raise Refusal(400, "validation_failed", f"The post is {status}: it can no longer be changed.")
    refuse_in_flight(post.deliveries)
    return post


def _refuse_stale(c: Connection, caller: Caller, post_id: UUID, if_match: str | None) -> None:
    if if_match is None:
        return
    view = read_post(c, caller.workspace_id, post_id, caller.accounts)
    if view is None or not is_current(if_match, view):
        raise Refusal(412, "precondition_failed", "The post has changed since you read it: read it again.")


def refuse_in_flight(parts: Iterable[LockedDelivery]) -> None:
    """Raise Refusal 409 when one of these deliveries is or may be live."""
    for part in parts:
        if is_in_flight(part):
            reason = "may still be finished" if part.may_be_live else "is being sent, or may be live already"
            raise Refusal(
                409,
                "post_in_flight",
                f"The part for {part.platform} account {part.account_id} {reason}; nothing was changed.",
            )


def _plan(context: Context, c: Connection, caller: Caller, post: LockedPost, change: Change) -> _Plan:
    """Build the new version and apply every rule that does not need its media."""
    given = change.given
    content = PostContent(
        caption=change.caption if "caption" in given else post.caption,
        media=change.media if change.media is not None else post.media,
        music_url=change.music_url if "music_url" in given else post.music_url,
        options={
            p: options for p, options in {**post.options, **change.options}.items() if options is not None
        },
        ai_generated=change.ai_generated if "ai_generated" in given else post.ai_generated,
    )
    rules.refuse_newer(context, max(post.level, content.level))
    timed = "scheduled_at" in given
    due_at = rules.resolve_due_at(change.scheduled_at, post.now) if timed else post.due_at
    if timed and post.expires_at is not None and post.expires_at <= due_at:
        message = f"scheduled_at must be earlier than the post's expires_at, {post.expires_at.isoformat()}."
        raise rules.build_refusal("scheduled_at", message)
    accounts = _accounts(c, caller, post, change)
    rules.refuse_account_conflicts(context, content, accounts)
    for refusal in rules.find_media_conflicts(context, content):
        raise refusal
    out = {p.account_id for p in post.deliveries if p.state is State.PUBLISHED}
    going = {a.id: a for a in accounts if a.id not in out}
    rules.refuse_problems(context, caller, content, list(going.values()), {})
    requested = media_checks.list_links(content.media, rules.parse_music_link(context, content.music_url))
    renewed = {n for n, *_ in requested if ("music_url" if n == MUSIC else "media") in given}
    sent = [link for link in requested if link[0] in renewed]
    media_checks.refuse_files_of_others(context, c, caller, sent)
    return _Plan(
        post=post,
        content=content,
        due_at=due_at,
        timed=timed,
        accounts=going,
        links=requested,
        renewed=frozenset(renewed),
    )


def _accounts(c: Connection, caller: Caller, post: LockedPost, change: Change) -> Sequence[AccountRow]:
    """Return the accounts sent, else the present ones, inactive ones too: this edit does not choose them."""
    if "accounts" in change.given:
        return rules.select_accounts(c, caller, change.account_ids)
    ids = [p.account_id for p in post.deliveries if p.state is not State.CANCELLED]
    return find_accounts(c, caller.workspace_id, ids)


def _open_checks(context: Context, c: Connection, plan: _Plan) -> dict[int, Check]:
    """Return a check for every link: the pinned ones that still hold, and new ones."""
    kept, positions = plan.kept, {n for n, *_ in plan.links}
    missing = [link for link in plan.links if link[0] not in kept]
    if not plan.renewed and not _can_publish(plan):
        # the post stays failed: its media are checked when it is retried
        return {n: check for n, check in plan.post.checks.items() if n in positions}
    opened = media_checks.open_checks(context, c, plan.post.workspace_id, missing, due_at=plan.due_at)
    return {**kept, **opened}


def _can_publish(plan: _Plan) -> bool:
    """Return True if a delivery of the post can be published after this edit."""
    return plan.timed or compute_status(plan.post) is not PostStatus.FAILED


def _apply(
    context: Context,
    c: Connection,
    caller: Caller,
    post_id: UUID,
    change: Change,
    if_match: str | None,
    before: _Plan,
    checks: Mapping[int, Check],
) -> tuple[EditResult, Sequence[datetime]] | None:
    """Apply the edit; None when the post changed concurrently and needs other checks."""
    # lock order: checks, then the post, as a verdict does
    checks = media_checks.lock_checks(c, caller.workspace_id, checks)
    media_checks.refuse_unreachable({n: check for n, check in checks.items() if n in before.renewed})
    plan = _plan(context, c, caller, _read_editable(c, caller, post_id, change, if_match, lock=True), change)
    overtaken = list(plan.links) != list(before.links) or media_checks.map_check_ids(
        plan.kept
    ) != media_checks.map_check_ids(before.kept)
    turned_bad = any(check.verdict not in (None, "good") for check in checks.values()) and _can_publish(plan)
    if overtaken or turned_bad or _can_publish(plan) != _can_publish(before):
        return None
    rules.refuse_problems(context, caller, plan.content, list(plan.accounts.values()), checks)
    firsts = _write(context, c, plan, checks)
    return _build_result(context, c, caller, plan, checks), firsts


def _write(context: Context, c: Connection, plan: _Plan, checks: Mapping[int, Check]) -> Sequence[datetime]:
    """Store the new version and return when work on each of its deliveries starts."""
    post, says = plan.post, plan.content
    drafts = [p for p, section in says.options.items() if is_inbox_draft(context.adapters[p], section)]
    store.rewrite(
        c,
        post,
        caption=says.caption,
        media=says.media,
        music_url=says.music_url,
        options=says.options,
        ai_generated=says.ai_generated,
        due_at=plan.due_at,
    )
    store.mark_deliveries(c, post, says.level, drafts)
    pin_checks(c, post.id, media_checks.map_check_ids(checks))
    goes_on = State.SCHEDULED if media_checks.are_all_good(checks) else State.ACCEPTED
    firsts: list[datetime] = []
    for part in post.deliveries:
        target = _target_state(plan, part, goes_on)
        if target is not None:
            firsts += _move_delivery(context, c, plan, part, target)
    rests = not _can_publish(plan)
    for account in plan.accounts.values():
        if account.id not in {p.account_id for p in post.deliveries}:
            start = _start_time(context, plan, account)
            error = error_to_dict(NotSentYet()) if rests else None
            store.add_delivery(
                c,
                post,
                NewDelivery(
                    id=new_id(),
                    account_id=account.id,
                    platform=account.platform,
                    state=State.FAILED if rests else goes_on,
                    next_at=start,
                    inbox_draft=account.platform in drafts,
                ),
                due_at=plan.due_at,
                why="an edit added the account",
                error=error,
            )
            firsts += [] if rests else [start]
    return firsts


def _target_state(plan: _Plan, part: LockedDelivery, goes_on: State) -> State | None:
    """Return the state an edit moves a delivery to; None: it stays as it is."""
    if part.state is State.PUBLISHED:
        return None
    if part.account_id not in plan.accounts:
        return None if part.state is State.CANCELLED else State.CANCELLED
    rests = part.state is State.FAILED or not _can_publish(plan)
    return State.FAILED if rests and not plan.timed else goes_on


def _move_delivery(
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
            removed=True,
        )
        return ()
    start = _start_time(context, plan, plan.accounts[part.account_id])
    error = part.error or error_to_dict(NotSentYet()) if target is State.FAILED else None
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


def _start_time(context: Context, plan: _Plan, account: AccountRow) -> datetime:
    return next_at(plan.due_at, context.adapters[account.platform].capabilities.prepare_lead)


def _build_result(
    context: Context, c: Connection, caller: Caller, plan: _Plan, checks: Mapping[int, Check]
) -> EditResult:
    recompute_post_status(c, plan.post.id)
    view = read_post(c, caller.workspace_id, plan.post.id)
    post = store.read(c, caller.workspace_id, plan.post.id, lock=False)
    if view is None or post is None:
        raise LookupError("The post disappeared under its lock.")
    record_edit(c, caller.actor, plan.post, post)
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
        warnings += find_warnings(context, c, plan.content, list(plan.accounts.values()), plan.due_at, checks)
    return EditResult(
        id=plan.post.id,
        status=status,
        scheduled_at=plan.due_at,
        version=compute_version(view),
        warnings=warnings,
    )
