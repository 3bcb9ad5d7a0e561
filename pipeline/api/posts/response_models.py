"""Response models of POST /posts, GET /posts and GET /posts/{id}, with the functions that fill them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self, Union
from uuid import UUID

from pydantic import AfterValidator, Field
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from pipeline.api.http.envelope import build_error_link
from pipeline.api.http.response_models import (
    DocumentedAs,
    ResponseModel,
    Timestamp,
    is_empty,
    one_of,
)
from pipeline.api.http.response_models import State as DeliveryState
from pipeline.api.openapi.codes import WARNINGS
from pipeline.api.posts.field_types import OnLate
from pipeline.api.posts.media_types import Media
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.domain.post import OPEN, PostStatus, derive_post_status, hide_no_time
from pipeline.domain.restore import split_candidates
from pipeline.stages.drafts import warn_of_follow_ups
from pipeline.stages.post_state import derive_delivery_status
from pipeline.store.posts.pages import Totals
from pipeline.store.posts.views import CommentView, DeliveryView, PostView
from pipeline.wiring import list_post_options

_OPTIONS = list_post_options()
_ANY_OPTIONS: Any = Union[(*_OPTIONS.values(), None)]
WarningCode = TypeAliasType("WarningCode", Annotated[str, one_of([*WARNINGS])])
DeliveredAs = TypeAliasType("DeliveredAs", Literal["post", "inbox_draft"])
Fault = TypeAliasType("Fault", Literal["customer", "platform", "us"])


class PostWarning(ResponseModel):
    """Something the client should know; it does not stop the post."""

    field: str
    message: str
    code: WarningCode


DueTime = Annotated[Timestamp | None, AfterValidator(hide_no_time), Field(description="null: it is a draft.")]


class CreatedPost(ResponseModel):
    """The post that was stored, or for a repeated request the original one as it is now.

    Made from an ``AcceptedPost``.
    """

    id: UUID
    status: PostStatus
    scheduled_at: DueTime
    warnings: list[PostWarning] = Field(default=[], exclude_if=is_empty)
    duplicate: bool = Field(
        default=False,
        exclude_if=is_empty,
        description="True if an equal request was accepted before; this is its post as it is now.",
    )
    deleted: bool = Field(
        default=False, exclude_if=is_empty, description="True if the post of a repeated request was deleted."
    )


class Candidate(ResponseModel):
    """A live post of the account that could be this one. True: it agrees; false: it differs; null: not shown."""

    remote_id: str
    url: str | None
    created_at: Timestamp | None
    same_caption: bool | None
    same_kind: bool | None
    same_media: bool | None
    same_time: bool | None = None
    likely: bool = Field(
        default=True,
        description="False if what the platform shows of it, or its time, differs from the post.",
    )


class DeliveryError(ResponseModel):
    """Why the post does not go on at an account, whose fault it is, and what to do."""

    code: str | None
    class_: str | None = Field(alias="class")
    fault: Fault | None
    retryable: bool | None
    message: str | None
    next_action: str | None
    platform_code: str | None
    platform_message: str | None = Field(
        description="The platform's own sentence, at most 300 characters; tokens and signed URLs are redacted."
    )
    help: str | None = Field(description="Where the reference explains the code: an absolute URL.")
    candidates: list[Candidate] | None = Field(
        default=None,
        exclude_if=is_empty,
        description="After a restore of the server's database: live posts of the account to compare, the best match "
        "first. None is left out; `likely` is false for posts that differ.",
    )
    unlikely_candidates: int = Field(
        default=0, exclude_if=is_empty, description="How many of the candidates differ from the post."
    )

    @classmethod
    def from_view(cls, view: DeliveryView | CommentView) -> Self | None:
        """Return the last classified error, or None if the delivery was published or cancelled after it."""
        if view.error is None or view.state in (State.PUBLISHED, State.CANCELLED):
            return None
        code = view.error.get("code")
        link = build_error_link(code) if code else None
        computed = {"help": link, "unlikely_candidates": len(split_candidates(view.error)[1])}
        return cls.model_validate({**{name: view.error.get(name) for name in _ERROR_KEYS}, **computed})


class FirstCommentState(ResponseModel):
    """The first comment below a post at one account. Whatever becomes of it, the post stays posted."""

    status: PostStatus = Field(
        description="scheduled until the post is live; canceled if the post did not go out."
    )
    error: DeliveryError | None
    url: str | None

    @classmethod
    def from_view(cls, view: CommentView | None, now: datetime) -> Self | None:
        """Return the state of a comment; None where there is none."""
        if view is None:
            return None
        return cls(
            status=derive_delivery_status(view, now), error=DeliveryError.from_view(view), url=view.url
        )


_NO_OPTIONS = dict.fromkeys(_OPTIONS)
_ERROR_KEYS = tuple(field.alias or name for name, field in DeliveryError.model_fields.items())


class AccountState(ResponseModel):
    """State of a post at one account."""

    account_id: UUID
    platform: Platform
    username: str
    status: PostStatus
    state: DeliveryState = Field(description="The delivery's own state, finer than status.")
    blocked_reason: Reason | None
    held_for: Hold | None = Field(
        description="Why it waits although its time has come or it is prepared. paused and newer_worker are shown "
        "before its time too. null: nothing holds it."
    )
    next_at: Timestamp | None = Field(
        description="When it is touched next: prepared, sent, sent again or looked at. null: at once, when an operator "
        "has acted, or when what holds it ends."
    )
    published_at: Timestamp | None
    published_url: str | None
    published_url_pending: bool = Field(
        default=False,
        exclude_if=is_empty,
        description="True if the post is live and the platform has not told its URL yet; it is asked for a day.",
    )
    removed: bool = Field(
        default=False,
        exclude_if=is_empty,
        description="True if an edit took the account off the post: its status is canceled and does not count.",
    )
    delivered_as: DeliveredAs | None = Field(
        description="inbox_draft: a draft in the app, for a person to finish."
    )
    warnings: list[PostWarning] | None = Field(
        default=None, exclude_if=is_empty, description="What is not as requested although the post is live."
    )
    error_message: str | None
    error: DeliveryError | None
    first_comment: FirstCommentState | None = Field(
        default=None, exclude_if=is_empty, description="Of a post with a first comment."
    )
    last_attempted_at: Timestamp | None
    caption: str | None = Field(
        default=None,
        exclude_if=is_empty,
        description="Of this account only, where it differs from the post's.",
    )
    media: Annotated[dict[str, Any] | None, DocumentedAs(Media | None)] = Field(
        default=None,
        exclude_if=is_empty,
        description="Of this account only, where they differ from the post's.",
    )
    scheduled_at: Timestamp | None = Field(
        default=None,
        exclude_if=is_empty,
        description="Of this account only, where it differs from the post's.",
    )
    options: Annotated[dict[str, Any] | None, DocumentedAs(_ANY_OPTIONS)] = Field(
        default=None,
        exclude_if=is_empty,
        description="The section of its platform, where the account's entry has one: in place of the post's.",
    )

    @classmethod
    def from_view(cls, view: DeliveryView, post: PostView) -> Self:
        """Return the state of a delivery of a post: a scheduled delivery that is due reads as pending."""
        error, now, own = DeliveryError.from_view(view), post.now, view.own or {}
        differs = post.has_own and view.due_at != post.scheduled_at
        warnings = warn_of_follow_ups(view.platform, view.cover_error, view.playlist_error)
        return cls.from_rows(
            view,
            caption=own.get("caption"),
            media=own.get("media"),
            scheduled_at=view.due_at if differs else None,
            options=own.get(view.platform),
            status=derive_delivery_status(view, now),
            blocked_reason=view.reason,
            published_url=view.url,
            published_url_pending=view.url_pending,
            warnings=[*warnings] or None,
            error_message=error.message if error else None,
            error=error,
            first_comment=FirstCommentState.from_view(view.first_comment, now),
        )


class PostAccounts(ResponseModel):
    """The accounts of a post, also accounts that an edit removed."""

    total: int
    states: list[AccountState]


class Post(ResponseModel):
    """One post with its state at each account."""

    id: UUID
    caption: str
    status: PostStatus
    source: str
    scheduled_at: DueTime
    created_at: Timestamp
    updated_at: Timestamp
    media: Annotated[dict[str, Any], DocumentedAs(Media)]
    music_url: str | None
    tiktok: Annotated[dict[str, Any] | None, DocumentedAs(_OPTIONS[Platform.TIKTOK] | None)]
    pinterest: Annotated[dict[str, Any] | None, DocumentedAs(_OPTIONS[Platform.PINTEREST] | None)]
    youtube: Annotated[dict[str, Any] | None, DocumentedAs(_OPTIONS[Platform.YOUTUBE] | None)]
    instagram: Annotated[dict[str, Any] | None, DocumentedAs(_OPTIONS[Platform.INSTAGRAM] | None)]
    facebook: Annotated[dict[str, Any] | None, DocumentedAs(_OPTIONS[Platform.FACEBOOK] | None)]
    linkedin: Annotated[dict[str, Any] | None, DocumentedAs(_OPTIONS[Platform.LINKEDIN] | None)]
    ai_generated: bool
    first_comment: str | None = Field(default=None, exclude_if=is_empty)
    external_id: str | None
    expires_at: Timestamp | None
    on_late: OnLate
    accounts: PostAccounts

    @classmethod
    def from_view(cls, view: PostView) -> Self:
        """Return the post. Its status is computed from its deliveries, so a due time shows at once."""
        states = [AccountState.from_view(delivery, view) for delivery in view.deliveries]
        return cls.from_rows(
            view,
            status=derive_post_status([state.status for state in states if not state.removed]),
            accounts=PostAccounts(total=len(states), states=states),
            **{**_NO_OPTIONS, **view.options},
        )


class PostSummary(ResponseModel):
    """Number of posts that were created from since until until, whatever the other filters of the query."""

    total: int
    total_capped: bool = Field(
        description="For a key restricted to accounts: the newest 10,000 posts were counted, and there may be more."
    )
    pending: int = Field(description="Unsettled posts: pending, scheduled and retry.")
    published: int = Field(description="Posts live on at least one platform: posted and partial.")
    by_status: dict[PostStatus, int]

    @classmethod
    def from_totals(cls, totals: Totals) -> Self:
        """Return the totals with every status, those without posts as 0."""
        every = {status: totals.by_status.get(status, 0) for status in PostStatus}
        return cls(
            total=sum(every.values()),
            total_capped=totals.is_capped,
            pending=sum(every[status] for status in OPEN),
            published=every[PostStatus.POSTED] + every[PostStatus.PARTIAL],
            by_status=every,
        )


class PostPage(ResponseModel):
    """A page of posts, in the order of `sort`."""

    summary: PostSummary
    posts: list[Post]
    next_cursor: str | None = Field(
        description="null: this page is the last. With filters other than status, since and until a page may be short "
        "or empty before: the server looks through 5,000 candidates for one."
    )
