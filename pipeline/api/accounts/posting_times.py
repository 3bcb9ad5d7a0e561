"""PATCH /accounts/{account_id}/posting-times: when an account posts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from pipeline.accounts.posting_times import change_posting_times
from pipeline.api.http.dependencies import Writer, path_id
from pipeline.api.http.envelope import SuccessResponse, refuse_unknown, success
from pipeline.api.http.response_models import ResponseModel
from pipeline.api.http.validation import Body
from pipeline.api.openapi.introduction import SCOPE
from pipeline.api.openapi.operation import Routes
from pipeline.domain.posting_times import (
    DAYS,
    LONGEST_GAP,
    MOST_A_DAY,
    InvalidPostingTimes,
    PostingTimes,
    sort_times,
)
from pipeline.domain.time_zone import UnknownZone, find_zone
from pipeline.domain.validation_issue import build_issue
from pipeline.runtime.context import Context
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.ownership import restrict_accounts


def _check_day(texts: Sequence[str]) -> list[str]:
    try:
        return sort_times("This day", texts)
    except InvalidPostingTimes as error:
        raise PydanticCustomError("value_error", str(error)) from None


def _check_zone(name: str) -> str:
    try:
        return find_zone(name).key
    except UnknownZone as error:
        raise PydanticCustomError("time_zone", str(error)) from None


Times = Annotated[list[Annotated[str, Field(max_length=5)]], AfterValidator(_check_day)]
Zone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_check_zone)]


class Week(Body):
    """The times of day of each weekday; a day that is left out has none."""

    monday: Times = Field([])
    tuesday: Times = Field([])
    wednesday: Times = Field([])
    thursday: Times = Field([])
    friday: Times = Field([])
    saturday: Times = Field([])
    sunday: Times = Field([])


class PostingTimesBody(Body):
    """The fields to change, at least one; null sets what is usual."""

    times: Week | None = Field(
        None, description="Times such as 09:00 of each weekday. Usual: 09:00, 12:00 and 18:00 daily."
    )
    time_zone: Zone | None = Field(
        None, description="Of the times, such as Europe/Berlin. Usual: the workspace's."
    )
    most_a_day: int | None = Field(
        None, ge=1, le=MOST_A_DAY, description="Posts that a day takes. Usual: as many as it has times."
    )
    least_gap_minutes: int | None = Field(
        None,
        ge=0,
        le=int(LONGEST_GAP.total_seconds() // 60),
        description="Minutes between two posts of the account. Usual: 60.",
    )

    @classmethod
    def list_keys(cls, path: Sequence[str | int]) -> Sequence[str]:
        """Return the keys that an object may have at a place in the body."""
        return DAYS if tuple(path) == ("times",) else tuple(cls.model_fields)

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse a body without a change."""
        if not self.model_fields_set:
            message = f"Name at least one of {', '.join(type(self).model_fields)}."
            yield build_issue((), message, "value_error")


class AccountPostingTimes(ResponseModel):
    """When an account posts."""

    account_id: UUID
    time_zone: str
    times: dict[str, list[str]]
    most_a_day: int | None
    least_gap_minutes: int

    @classmethod
    def from_times(cls, account: UUID, times: PostingTimes) -> Self:
        """Return the times as the API shows them."""
        return cls(account_id=account, **times.to_dict())


routes = Routes(tag=SCOPE, path="")


@routes.add("PATCH", "/accounts/{account_id}/posting-times", "The posting times, all of them.")
async def change_times(
    call: Writer, body: PostingTimesBody, account_id: Annotated[UUID, path_id("account_id", "account")]
) -> SuccessResponse[AccountPostingTimes]:
    """Change when an account posts. `scheduled_at: "auto"` takes the next of these times that is free."""
    times = await call.act(_change, account_id, body.model_dump(exclude_unset=True))
    return success("Posting times updated", AccountPostingTimes.from_times(account_id, times))


def _change(context: Context, caller: Caller, account: UUID, changes: dict[str, Any]) -> PostingTimes:
    with context.database.begin() as c:
        if not find_accounts(c, caller.workspace_id, restrict_accounts([account], caller.accounts)):
            raise refuse_unknown("account")
        return change_posting_times(c, caller.actor, account, caller.workspace_id, caller.time_zone, changes)
