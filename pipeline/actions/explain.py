"""Explain a post: for each account where it stands, why, whose turn it is, and what happens next. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import DailyPer, Platform
from adapters.limit import Rate
from pipeline.accounts.authorize import can_authorize
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import LOOKED_AT, SETTLED, WAITING, Reason, State
from pipeline.domain.delivery_error import describe_last_look, is_beyond_looks
from pipeline.domain.explanation import Explanation, Situation, explain
from pipeline.domain.hold import Hold
from pipeline.domain.own_content import OwnContent
from pipeline.runtime.context import Context
from pipeline.stages.platform_limits import find_post_quota
from pipeline.stages.post_state import may_be_rescheduled
from pipeline.store.counters.counters import STORAGE_FAULT
from pipeline.store.deliveries.daily_quota import count_sent
from pipeline.store.deliveries.history import Evidence, read_evidence
from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.deliveries.selection import DeliveryFacts
from pipeline.store.posts.views import DeliveryView, PostView, read_post

_STEPS = {
    **dict.fromkeys(WAITING | {State.QUEUED}, ("prepare", "finalize")),
    **dict.fromkeys(LOOKED_AT, ("look",)),
}
"""The calls whose limits a delivery in each state may wait for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyLimit:
    """How much of a platform's limit of 24 hours is used."""

    used: int
    limit: int
    per: DailyPer


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedDelivery:
    """A delivery, its explanation, and the evidence for it."""

    view: DeliveryView
    explanation: Explanation
    evidence: Evidence
    day: DailyLimit | None
    rates: Sequence[Rate]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedPost:
    """A post, with each of its deliveries explained."""

    post: PostView
    deliveries: Sequence[ExplainedDelivery]


def explain_post(
    context: Context, workspace: UUID, post: UUID, accounts: Accounts = None
) -> ExplainedPost | None:
    """Explain a post of a workspace, for a key restricted to ``accounts``; None where ``read_post`` returns None."""
    with context.database.begin() as c:
        view = read_post(c, workspace, post, accounts)
        if view is None:
            return None
        evidence = read_evidence(c, post)
        explained = [_explain(context, c, view, d, evidence[d.id]) for d in view.deliveries]
    return ExplainedPost(post=view, deliveries=explained)


def _explain(
    context: Context, c: Connection, post: PostView, view: DeliveryView, evidence: Evidence
) -> ExplainedDelivery:
    platform, state = Platform(view.platform), State(view.state)
    can = context.adapters[platform].capabilities
    can_connect = evidence.account_status == AccountStatus.ACTIVE or can_authorize(context, platform)
    limited = not context.settings.sandbox.lifted and state not in SETTLED
    return ExplainedDelivery(
        view=view,
        explanation=explain(build_situation(view, evidence, post, can_authorize=can_connect)),
        evidence=evidence,
        day=_count_day(context, c, post, view) if limited else None,
        rates=[rate for rate in can.rates if rate.step in _STEPS.get(state, ())] if limited else (),
    )


def build_situation(
    view: DeliveryView | DeliveryFacts,
    evidence: Evidence,
    post: PostView | None = None,
    *,
    can_authorize: bool = True,
) -> Situation:
    """Return what the rules of an explanation go by; without the *post*, it counts as one that may be edited."""
    error = view.error or {}
    awaits_storage = any(check.fault == STORAGE_FAULT for check in evidence.checks)
    return Situation(
        delivery=view.id,
        post=view.post_id,
        account=view.account_id,
        platform=view.platform,
        username=view.username,
        state=State(view.state),
        reason=Reason(view.reason) if view.reason else None,
        hold=Hold.STORAGE if awaits_storage else view.held_for,
        fault=error.get("fault"),
        error_code=error.get("code"),
        is_proven_live=evidence.is_proven_live,
        account_status=evidence.account_status,
        can_authorize=can_authorize,
        may_be_edited=post is None or may_be_rescheduled(post),
        next_at=view.next_at,
        moved_at=evidence.moved_at,
        derived=evidence.derived,
        last_look=" ".join(describe_last_look(error)),
        can_be_looked_at=not is_beyond_looks(error),
        media_seen=next((check.seen for check in evidence.checks if check.seen), None),
        url=view.url,
    )


def _count_day(context: Context, c: Connection, post: PostView, view: DeliveryView) -> DailyLimit | None:
    """Count the day of the account, or of our app: its inbox drafts for one, else its posts."""
    own = OwnContent.from_dict(view.own) or OwnContent()
    quota = find_post_quota(context, Platform(view.platform), {**post.options, **own.options})
    if quota is None:
        return None
    return DailyLimit(used=count_sent(c, view.account_id, quota), limit=quota.allowed, per=quota.per)
