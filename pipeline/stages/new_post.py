"""A new post between its request and its rows: the plan that ingest makes, checks and stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from pipeline.domain.delivery import State
from pipeline.domain.post import PostStatus, is_immediate, next_at, slot_end
from pipeline.runtime.context import Context
from pipeline.runtime.tracing import trace_post
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.media_checks import Link
from pipeline.stages.platform_limits import is_inbox_draft
from pipeline.stages.post_request import AcceptanceWarning, AcceptedPost, PostRequest
from pipeline.stages.post_rules import AccountProblem
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.database import new_id
from pipeline.store.posts.insert_batch import NewDelivery, NewPost


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A post request and the key that sent it."""

    caller: Caller
    request: PostRequest
    import_id: UUID | None = None
    """The import whose row it is."""
    row_token: str | None = None
    """The token by which a repeat of this row, or post of a batch, is recognised, in place of that of a request."""
    judged: bytes | None = None
    """The digest of what the rules went by when they found this row good (``RuleInputs``)."""

    @property
    def workspace(self) -> UUID:
        """The workspace of the key."""
        return self.caller.workspace_id


@dataclass(kw_only=True, slots=True)
class PostPlan:
    """A submission that broke no rule so far, with its accounts, its time and the checks of its media."""

    submission: Submission
    accounts: Sequence[AccountRow]
    due_at: datetime
    immediate: bool
    token: str | None
    """The token by which a repeat of the request is recognised; None: never taken for one."""
    links: Sequence[Link]
    """Everything that needs a check."""
    checks: Mapping[int, Check] = field(default_factory=dict)
    problems: Sequence[AccountProblem] = ()
    """Problems that the platforms accept with a warning, found by the facts in ``checks``."""
    post: NewPost | None = None
    """Its rows, where they were built before it is stored."""

    @property
    def is_ready(self) -> bool:
        """Return True if every link has a good check: then the post can be stored without waiting."""
        return len(self.checks) == len(self.links) and media_checks.are_all_good(self.checks)

    def validate(self, context: Context, checks: Mapping[int, Check]) -> None:
        """Use these checks from now on. Raises Refusal when a platform does not take the media they describe."""
        self.checks = checks
        caller, request = self.submission.caller, self.submission.request
        self.problems = rules.refuse_problems(context, caller, request, self.accounts, checks)


def plan_post(
    context: Context,
    submission: Submission,
    *,
    token: str | None,
    accounts: Sequence[AccountRow],
    links: Sequence[Link],
    now: datetime,
) -> PostPlan:
    """Apply the rules about times, then those about options and accounts: the order of the contract. Raises Refusal.

    ``links``: of the media.
    """
    request = submission.request
    due_at = rules.resolve_due_at(request.scheduled_at, now)
    rules.refuse_expired(request.expires_at, now)
    rules.refuse_account_conflicts(context, request, accounts)
    return PostPlan(
        submission=submission,
        accounts=accounts,
        due_at=due_at,
        immediate=is_immediate(request.scheduled_at, now),
        token=token,
        links=links,
    )


def build_post(context: Context, plan: PostPlan) -> NewPost:
    """Return the rows of a plan: deliveries are scheduled when every check is good, else accepted."""
    request = plan.submission.request
    state = State.SCHEDULED if media_checks.are_all_good(plan.checks) else State.ACCEPTED
    return NewPost(
        id=new_id(),
        workspace_id=plan.submission.workspace,
        key_id=plan.submission.caller.stored_key,
        import_id=plan.submission.import_id,
        caption=request.caption,
        media=request.media,
        music_url=request.music_url,
        options=request.options,
        ai_generated=request.ai_generated,
        level=request.level,
        due_at=plan.due_at,
        expires_at=request.expires_at,
        on_late=request.on_late,
        external_id=request.external_id,
        replay_token=plan.token,
        fingerprint=request.fingerprint,
        request_id=request.request_id,
        checks=media_checks.map_check_ids(plan.checks),
        deliveries=[
            NewDelivery(
                id=new_id(),
                account_id=account.id,
                platform=account.platform,
                state=state,
                next_at=next_at(plan.due_at, adapter.capabilities.prepare_lead),
                inbox_draft=is_inbox_draft(adapter, request.options.get(account.platform)),
            )
            for account in plan.accounts
            for adapter in [context.adapters[account.platform]]
        ],
    )


def accept_stored(plan: PostPlan, post: NewPost, warnings: Sequence[AcceptanceWarning]) -> AcceptedPost:
    """Return the answer to a post that was stored, and record its span."""
    trace_post(post.id, post.request_id)
    status = PostStatus.PENDING if plan.immediate else PostStatus.SCHEDULED
    return AcceptedPost(
        id=post.id,
        status=status,
        scheduled_at=post.due_at,
        warnings=warnings,
        deliveries=[one.id for one in post.deliveries],
    )


def dispatch_stored(context: Context, plans: Iterable[PostPlan]) -> None:
    """Dispatch the work of stored posts, after their commit. If this fails, the sweep dispatches within a second."""
    now, slots = False, set()
    for plan in plans:
        leads = [context.adapters[a.platform].capabilities.prepare_lead for a in plan.accounts]
        first = next_at(plan.due_at, max(leads))
        if plan.immediate:
            now = True
        elif first <= datetime.now(first.tzinfo) + timedelta(seconds=context.settings.delay.horizon):
            slots.add(slot_end(first, timedelta(seconds=context.settings.delay.slot)))
    if now:
        context.dispatcher.send_slot_now()
    if slots:
        context.dispatcher.send_slots(sorted(slots))
