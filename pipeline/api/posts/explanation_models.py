"""Response models of GET /posts/{id}/explain."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from pipeline.actions.explain import ExplainedDelivery, ExplainedPost
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.response_models import State as DeliveryState
from pipeline.api.posts.response_models import AccountState, DeliveryError, Post
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import Reason
from pipeline.domain.explanation_action import Action, Right, Turn
from pipeline.domain.hold import Hold
from pipeline.domain.post import PostStatus

StandingKind = TypeAliasType(
    "StandingKind", Literal["locked", "paused", "approval", "newer_worker", "breaker", "epoch"]
)


class NextAction(ResponseModel):
    """The one thing to do. Without a method it takes the operator, or a key that may do more: ``text`` says whom."""

    text: str
    method: str | None
    path: str | None = Field(description="Relative to the server; this key may call it.")
    body: dict[str, Any] | None = Field(description="null: none, or its content is yours to say.")

    @classmethod
    def for_key(cls, action: Action | None, rights: Collection[Right]) -> Self | None:
        """Return the action for a key with these rights; None where it has nothing to do."""
        call = action.call if action else None
        if action is None or not (call or action.ask):
            return None
        if call is None or call.right not in rights:
            text = action.ask or f"{action.says} That takes a key that may {call.right if call else ''}."
            return cls(text=text, method=None, path=None, body=None)
        return cls(text=action.says, method=call.method, path=call.path, body=call.body)


class StandingHold(ResponseModel):
    """A hold of all deliveries of a scope: a pause, a breaker, an epoch, or the want of a newer worker."""

    hold: StandingKind
    scope: str = Field(description="all, platform, workspace, account or delivery.")
    target: str = Field(
        description="The platform, or the id of the workspace, account or delivery; empty for all."
    )
    why: str
    since: Timestamp | None
    next_at: Timestamp | None = Field(description="When the next probe of a breaker is due.")


class OpenCheck(ResponseModel):
    """A check of media or music that is not decided yet."""

    purpose: str
    url: str
    tries: int
    seen: str | None = Field(description="What its last try saw.")
    next_at: Timestamp


class DailyLimit(ResponseModel):
    """The platform's limit of 24 hours, and how much of it is used."""

    used: int
    limit: int
    per: Literal["account", "app"]


class RateLimit(ResponseModel):
    """The platform's limit of calls for the account, as it is kept: calls are spaced evenly."""

    step: Literal["prepare", "finalize", "look"]
    count: int
    seconds: float


class Grant(ResponseModel):
    """The access that the account's owner gave."""

    status: AccountStatus
    ends_at: Timestamp | None


class LastAttempt(ResponseModel):
    """The newest attempt. ``armed_at``: from then on it may be live."""

    n: int
    opened_at: Timestamp
    armed_at: Timestamp | None
    outcome: str | None


class ExplanationEvidence(ResponseModel):
    """The facts behind an explanation."""

    last_move: str | None = Field(description="Why it came into its state, as it was recorded.")
    holds: list[StandingHold] = Field(
        description="What stands now; it holds the post when its time has come."
    )
    checks: list[OpenCheck]
    daily_limit: DailyLimit | None
    rate_limits: list[RateLimit]
    grant: Grant
    attempt: LastAttempt | None
    error: DeliveryError | None

    @classmethod
    def from_explained(cls, one: ExplainedDelivery) -> Self:
        """Return the evidence."""
        found = one.evidence
        attempt = {
            "n": found.attempt,
            "opened_at": found.attempt_opened_at,
            "armed_at": found.attempt_armed_at,
            "outcome": found.attempt_outcome,
        }
        return cls.from_rows(
            found,
            last_move=found.why,
            holds=found.derived,
            daily_limit=one.day,
            rate_limits=[RateLimit.from_rows(rate, seconds=rate.per.total_seconds()) for rate in one.rates],
            grant={"status": found.account_status, "ends_at": found.grant_ends_at},
            attempt=attempt if found.attempt else None,
            error=DeliveryError.from_view(one.view),
        )


class AccountExplanation(ResponseModel):
    """Where a post stands at one account, and why."""

    account_id: UUID
    delivery_id: UUID
    platform: Platform
    username: str
    status: PostStatus
    state: DeliveryState
    blocked_reason: Reason | None
    held_for: Hold | None
    turn: Turn | None = Field(description="Whose turn it is; us: the server's own. null: it is over.")
    summary: str
    since: Timestamp
    next_step: str | None
    next_at: Timestamp | None
    action: NextAction | None = Field(description="null: nothing needs to be done with a key.")
    evidence: ExplanationEvidence

    @classmethod
    def from_explained(cls, one: ExplainedDelivery, state: AccountState, rights: Collection[Right]) -> Self:
        """Return the explanation for a key with *rights*; *state* is the account's state in the post."""
        return cls.from_rows(
            one.explanation,
            state,
            delivery_id=one.view.id,
            action=NextAction.for_key(one.explanation.action, rights),
            evidence=ExplanationEvidence.from_explained(one),
        )


class PostExplanation(ResponseModel):
    """A post, and for each account where it stands and why."""

    id: UUID
    status: PostStatus
    scheduled_at: Timestamp
    accounts: list[AccountExplanation]

    @classmethod
    def from_explained(cls, found: ExplainedPost, rights: Collection[Right]) -> Self:
        """Return the explanation of a post for a key with these rights."""
        post = Post.from_view(found.post)
        pairs = zip(found.deliveries, post.accounts.states, strict=True)
        accounts = [AccountExplanation.from_explained(one, state, rights) for one, state in pairs]
        return cls.from_rows(post, accounts=accounts)
