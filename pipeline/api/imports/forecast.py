"""GET /imports/{id}/forecast: what a plan adds to each account and day, how much fits, and what is in conflict."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Literal, Self
from uuid import UUID

from pydantic import Field
from starlette.requests import Request
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.imports.routes import IMPORT_ID, IMPORT_PATH, find_import
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import KEY_ERRORS, Operation, error_responses
from pipeline.api.posts.response_models import DeliveredAs
from pipeline.api.state import AppState, get_app_state
from pipeline.imports.forecast import Forecast, forecast
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.imports.imports import Import

ConflictKind = TypeAliasType("ConflictKind", Literal["quota", "pace", "grant", "content"])


class ImportDay(ResponseModel):
    """The posts, or the inbox drafts, of one account on one day, in UTC."""

    account_id: UUID
    platform: Platform
    username: str
    day: date
    delivered_as: DeliveredAs = Field(description="Inbox drafts have a daily quota of their own.")
    posts: int = Field(description="That the import adds.")
    before: int = Field(description="That are planned or sent already.")
    fits: int = Field(description="Of posts, within the platform's daily quota.")
    last_at: Timestamp = Field(description="When the last of them goes out, at the earliest.")


class ImportConflict(ResponseModel):
    """Why posts of an account go out later than planned, or may not. No row is rejected for it."""

    kind: ConflictKind = Field(
        description="A full day; faster than the platform takes them; a grant that ends first; the same content twice."
    )
    account_id: UUID
    platform: Platform
    username: str
    posts: int = Field(description="Posts of the import that it concerns.")
    message: str


class ImportForecast(ResponseModel):
    """The changes that the rows of a plan make that are not applied yet."""

    days: list[ImportDay]
    conflicts: list[ImportConflict]
    more_days: bool = Field(description="True if only the first 1,000 days of accounts are listed.")

    @classmethod
    def from_forecast(cls, found: Forecast) -> Self:
        """Return the forecast as the API shows it."""
        return cls(
            days=[
                ImportDay(
                    **_name(day.account),
                    day=day.day,
                    delivered_as="inbox_draft" if day.drafts else "post",
                    posts=day.posts,
                    before=day.before,
                    fits=day.fits,
                    last_at=day.last_at,
                )
                for day in found.days
            ],
            conflicts=[
                ImportConflict.model_validate(
                    {**_name(x.account), "kind": x.kind, "posts": x.posts, "message": x.message}
                )
                for x in found.conflicts
            ],
            more_days=found.is_cut,
        )


def _name(account: AccountRow) -> dict[str, object]:
    return {"account_id": account.id, "platform": account.platform, "username": account.username}


async def get_import_forecast(request: Request) -> SuccessResponse[ImportForecast]:
    """Return what a plan adds to each account and day, and its conflicts with quotas, paces and grants."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    job = await find_import(app_state, caller, request)
    found = await app_state.read_bulkhead.run(partial(_read, app_state, job), caller.key_id)
    return success("Forecast", found)


def _read(app_state: AppState, job: Import) -> ImportForecast:
    with app_state.context.database.begin() as c:
        return ImportForecast.from_forecast(forecast(app_state.context, c, job))


OPERATIONS = (
    Operation(
        id="getImportForecast",
        method="GET",
        path=f"{IMPORT_PATH}/forecast",
        handler=get_import_forecast,
        tag=IMPORTS,
        returns="The forecast.",
        parameters=[IMPORT_ID],
        errors=error_responses(*KEY_ERRORS, "not_found", "rate_limited", "internal_error"),
    ),
)
