"""The shapes of the answers to edits, retries, cancels, deletes and validations, for the OpenAPI page."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from pipeline.api.posts.response_models import Platform, Shape, Status, Success, Warned


class Edited(Shape):
    """The post as it stands after the edit."""

    id: UUID
    status: Status
    scheduled_at: datetime
    warnings: list[Warned] = Field(default=[], description="Left out when there are none.")


class Retried(Shape):
    """What is on its way again."""

    retried: int
    ids: list[UUID]
    failed: int = Field(description="Posts of which nothing was sent again.")
    errors: dict[UUID, str] = Field(default={}, description="Why not, by post.")


class Canceled(Shape):
    """What was taken back."""

    canceled: int
    failed: int = Field(description="Posts that were left as they were.")
    errors: dict[UUID, str] = Field(default={}, description="Why not, by post: <error code>: <sentence>.")


class Blocked(Shape):
    """A post that stays."""

    id: UUID
    status: Status


class Deleted(Shape):
    """What is gone, and what is not."""

    deletedIds: list[UUID]  # noqa: N815  the contract's spelling
    blockedStatuses: list[Blocked] = Field(description="Posts that are out, canceled or being sent.")  # noqa: N815
    skipped: list[UUID] = Field(description="Not there, or not within the key's scope.")
    errors: dict[UUID, str] = Field(default={}, description="More about some of the blocked ones.")


class Kind(Shape):
    """What the post becomes at one account."""

    id: UUID
    platform: Platform
    username: str
    kind: str | None = Field(
        description="Such as reel, carousel, photos; null: the platform has none for it."
    )


class Finding(Shape):
    """One thing that would be refused or warned."""

    code: str = Field(description="The error code a new post would get, or the warning's code.")
    field: str
    message: str
    account_id: UUID | None
    platform: Platform | None
    limit: str | int | float | None
    found: str | int | float | None


class Validated(Shape):
    """How the request was understood, and what would become of it."""

    valid: bool
    status: Literal["pending", "scheduled"]
    scheduled_at: datetime | None = Field(description="UTC.")
    scheduled_at_local: datetime | None = Field(description="The same moment in the workspace's time zone.")
    time_zone: str
    accounts: list[Kind]
    refused: list[Finding]
    warnings: list[Finding]


class EditedAnswer(Success):
    """A post was changed."""

    data: Edited


class RetriedAnswer(Success):
    """Posts are on their way again."""

    data: Retried


class CanceledAnswer(Success):
    """Posts were taken back."""

    data: Canceled


class DeletedAnswer(Success):
    """Posts were taken away."""

    data: Deleted


class ValidatedAnswer(Success):
    """A request was judged."""

    data: Validated
