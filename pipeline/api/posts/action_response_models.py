"""Response models of edit, retry, cancel, delete and validate, each with the function that fills it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import Field, PlainSerializer, WithJsonSchema

from adapters.contract import Platform
from pipeline.actions.cancel_delete_retry import ActionResult, DeletedPosts
from pipeline.actions.validate import RequestFinding, ValidationResult
from pipeline.api.http.response_models import ErrorCode, ResponseModel, Timestamp, is_empty
from pipeline.api.posts.response_models import DueTime, PostWarning, WarningCode
from pipeline.domain.post import PostStatus
from pipeline.stages.post_request import PostRequest
from pipeline.store.auth.keys import Caller

LocalTimestamp = Annotated[
    datetime,
    PlainSerializer(
        lambda instant: instant.isoformat(timespec="milliseconds"), return_type=str, when_used="json"
    ),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time, written in its own time zone with milliseconds."""


class UpdatedPost(ResponseModel):
    """The post after the edit; made from an ``EditResult``."""

    id: UUID
    status: PostStatus
    scheduled_at: DueTime
    warnings: list[PostWarning] = Field(default=[], exclude_if=is_empty)


class SkippedAccount(ResponseModel):
    """An account at which a post was left as it is."""

    post_id: UUID
    account_id: UUID
    reason: str = Field(description="<error code>: <sentence>.")


class RetryResult(ResponseModel):
    """Which posts are queued again, and why others are not."""

    retried: int
    ids: list[UUID]
    failed: list[UUID] = Field(description="Posts of which nothing is sent again.")
    errors: dict[UUID, str] = Field(default={}, exclude_if=is_empty, description="Reason by post id.")
    skipped: list[SkippedAccount] = Field(
        default=[],
        exclude_if=is_empty,
        description="Accounts of the retried posts at which nothing is sent again, though chosen.",
    )

    @classmethod
    def from_result(cls, result: ActionResult) -> Self:
        """Return the answer to a retry."""
        return cls(
            retried=len(result.ids),
            ids=list(result.ids),
            failed=list(result.errors),
            errors=dict(result.errors),
            skipped=[
                SkippedAccount(post_id=post, account_id=account, reason=reason)
                for post, accounts in result.left.items()
                for account, reason in accounts.items()
            ],
        )

    def describe(self) -> str:
        """Return the message of the answer."""
        if self.ids:
            return "Posts queued for retry"
        return "No post is queued for retry: `errors` has the reason for each."


class CancelResult(ResponseModel):
    """How many posts are cancelled, and why others are not."""

    canceled: int
    failed: int = Field(description="Number of posts left unchanged.")
    errors: dict[UUID, str] = Field(
        default={}, exclude_if=is_empty, description="Reason by post id: <error code>: <sentence>."
    )

    @classmethod
    def from_result(cls, result: ActionResult) -> Self:
        """Return the answer to a cancel."""
        return cls(canceled=len(result.ids), failed=len(result.errors), errors=dict(result.errors))


class BlockedPost(ResponseModel):
    """A post that cannot be deleted."""

    id: UUID
    status: PostStatus


class DeleteResult(ResponseModel):
    """Which posts are deleted, and why others are not."""

    deletedIds: list[UUID]  # noqa: N815  the contract's spelling
    blockedStatuses: list[BlockedPost] = Field(description="Posts that are posted, canceled or being sent.")  # noqa: N815
    skipped: list[UUID] = Field(description="Ids that do not exist within the key's scope.")
    errors: dict[UUID, str] = Field(
        default={}, exclude_if=is_empty, description="Details by post id, for some of the blocked posts."
    )

    @classmethod
    def from_result(cls, result: DeletedPosts) -> Self:
        """Return the answer to a delete."""
        blocked = [BlockedPost(id=post, status=PostStatus(status)) for post, status in result.blocked]
        return cls(
            deletedIds=result.ids, blockedStatuses=blocked, skipped=result.skipped, errors=result.errors
        )


class ValidatedAccount(ResponseModel):
    """The result of the post at one account."""

    id: UUID
    platform: Platform
    username: str
    kind: str | None = Field(
        description="For example reel, carousel, photos; null: the platform has no such kind."
    )


class _Finding(ResponseModel):
    code: str
    field: str
    message: str
    account_id: UUID | None
    platform: Platform | None
    limit: str | int | float | None
    found: str | int | float | None

    @classmethod
    def from_finding(cls, finding: RequestFinding) -> Self:
        """Return the finding with the account it concerns, if it concerns one."""
        account = finding.account
        named = {"account_id": account and account.id, "platform": account and account.platform}
        return cls.from_rows(finding, **named)


class ValidationRefusal(_Finding):
    """One reason for a refusal."""

    code: ErrorCode = Field(description="The error code that POST /posts answers.")


class ValidationWarning(_Finding):
    """One warning."""

    code: WarningCode


class ValidationReport(ResponseModel):
    """How a request is understood, and what would be refused or warned about."""

    valid: bool
    status: PostStatus
    scheduled_at: Timestamp | None = Field(description="UTC.")
    scheduled_at_local: LocalTimestamp | None = Field(
        description="The same time in the workspace's time zone."
    )
    time_zone: str
    accounts: list[ValidatedAccount]
    refused: list[ValidationRefusal]
    warnings: list[ValidationWarning]

    @classmethod
    def from_result(cls, result: ValidationResult, request: PostRequest, caller: Caller) -> Self:
        """Return the report; a time that is refused is shown as it was requested."""
        due_at = result.due_at or request.scheduled_at
        return cls(
            valid=not result.refused,
            status=PostStatus.PENDING if result.immediate else PostStatus.SCHEDULED,
            scheduled_at=due_at,
            scheduled_at_local=None if due_at is None else due_at.astimezone(ZoneInfo(caller.time_zone)),
            time_zone=caller.time_zone,
            accounts=[
                ValidatedAccount.from_rows(a, kind=kind)
                for a, kind in zip(result.accounts, result.kinds, strict=True)
            ],
            refused=[*map(ValidationRefusal.from_finding, result.refused)],
            warnings=[*map(ValidationWarning.from_finding, result.warnings)],
        )
