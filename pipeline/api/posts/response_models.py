"""The shapes of our answers, for the OpenAPI page; the tests hold real answers against them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["draft", "pending", "scheduled", "posted", "failed", "partial", "retry", "canceled"]
Platform = Literal["tiktok", "instagram", "youtube", "pinterest", "linkedin", "facebook"]


class Shape(BaseModel):
    """Exactly these keys."""

    model_config = ConfigDict(extra="forbid")


class Issue(Shape):
    """One thing that is wrong, and where."""

    path: str = Field(description="Where in the body, such as media.urls.3.")
    message: str
    type: str
    value: str | int | float | bool | None = Field(None, description="What was found, clipped.")


class Failure(Shape):
    """Nothing was stored or changed."""

    ok: Literal[False]
    code: int = Field(description="The HTTP status again.")
    message: str
    error_code: str


class Invalid(Failure):
    """The request is not of this schema."""

    issues: list[Issue]


class Warned(Shape):
    """Something to know; it did not stop the post."""

    field: str
    message: str
    code: str


class Scheduled(Shape):
    """The post that was taken."""

    id: UUID
    status: Literal["pending", "scheduled"]
    scheduled_at: datetime
    warnings: list[Warned] = []
    duplicate: bool = Field(default=False, description="An equal request was taken before: this is its post.")


class DeliveryError(Shape):
    """Why an account's part does not go on, by whose fault, and what to do."""

    code: str
    class_: str = Field(alias="class")
    fault: Literal["customer", "platform", "us"]
    retryable: bool
    message: str
    next_action: str | None
    platform_code: str | None


class AccountState(Shape):
    """Where the post stands at one account."""

    account_id: UUID
    platform: Platform
    username: str
    status: Status
    state: str = Field(description="The finer word for it.")
    blocked_reason: Literal["reconnect", "is_it_live", "person_needed"] | None
    published_at: datetime | None
    published_url: str | None
    delivered_as: str | None = Field(description="inbox_draft: it waits in the app for a person.")
    error_message: str | None
    error: DeliveryError | None
    last_attempted_at: datetime | None


class States(Shape):
    """All accounts of a post."""

    total: int
    states: list[AccountState]


class Post(Shape):
    """One post."""

    id: UUID
    caption: str
    status: Status
    source: str
    scheduled_at: datetime
    created_at: datetime
    updated_at: datetime
    media: dict[str, Any]
    music_url: str | None
    tiktok: dict[str, Any] | None
    pinterest: dict[str, Any] | None
    external_id: str | None
    expires_at: datetime | None
    on_late: Literal["publish", "skip", "hold"]
    accounts: States


class Summary(Shape):
    """Counts over all posts of the time span asked for, whatever status was asked for."""

    total: int
    pending: int = Field(description="Still on their way: pending, scheduled and retry.")
    published: int = Field(description="Live somewhere: posted and partial.")
    by_status: dict[Status, int]


class Page(Shape):
    """Posts, newest first."""

    summary: Summary
    posts: list[Post]
    next_cursor: str | None


class Account(Shape):
    """One account that may be published to."""

    id: UUID
    platform: Platform
    type: Literal["byo", "hosted"]
    username: str
    display_name: str
    status: Literal["active"]
    workspace_id: UUID | None


class Scope(Shape):
    """What the key speaks for."""

    scope: Literal["workspace", "personal"]
    owner_user_id: UUID | None
    workspace_id: UUID | None


class Accounts(Scope):
    """The active accounts of the key's scope."""

    accounts: list[Account]


class Plan(Shape):
    """What is paid for."""

    tier: Literal["creator", "professional", "business", "scheduler", "none"]
    status: Literal["active", "trialing", "past_due", "canceled"]


class Subscription(Scope):
    """The plan behind the key."""

    subscription: Plan


class Consent(Shape):
    """Where to send the person."""

    url: str
    expires_in: int = Field(description="Seconds until the address is good for nothing.")


class Parts(Shape):
    """Whether each part answers. ``mark``: whether anything may be sent; false after a restore, or without workers."""

    database: bool
    broker: bool
    workers: bool
    mark: bool


class Readiness(Shape):
    """All parts, and for each queue the seconds since a worker took something out; null: never yet."""

    parts: Parts
    queues: dict[str, float | None]


class Nothing(Shape):
    """No more to say."""


class Unready(Failure):
    """The database is away, nothing may be sent, or nobody takes messages out of a queue."""

    parts: Parts
    queues: dict[str, float | None] | None = None


class Success(Shape):
    """What was asked for."""

    ok: Literal[True]
    code: int
    message: str


class ScheduledAnswer(Success):
    """A post was taken."""

    data: Scheduled


class PageAnswer(Success):
    """A page of posts."""

    data: Page


class PostAnswer(Success):
    """One post."""

    data: Post


class AccountsAnswer(Success):
    """Accounts."""

    data: Accounts


class SubscriptionAnswer(Success):
    """A subscription."""

    data: Subscription


class ConsentAnswer(Success):
    """A grant was opened."""

    data: Consent


class ReadinessAnswer(Success):
    """Ready."""

    data: Readiness


class AliveAnswer(Success):
    """Alive."""

    data: Nothing
