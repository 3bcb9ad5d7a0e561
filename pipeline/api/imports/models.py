"""Queries, bodies and answers of the operations on imports, with the functions that fill the answers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from pipeline.actions.forecast import AccountForecast
from pipeline.api.http.response_models import ResponseModel, Timestamp, is_empty, one_of
from pipeline.api.http.validation import Body, Query
from pipeline.api.posts.pagination import Position, parse_cursor
from pipeline.api.posts.response_models import DeliveredAs
from pipeline.domain.bulk_import import ImportState, RowVerdict
from pipeline.domain.delivery import to_public
from pipeline.domain.posting_times import AUTO
from pipeline.imports.columns import Format
from pipeline.imports.encodings import ENCODINGS
from pipeline.imports.forecast import Conflict, DayForecast, Forecast
from pipeline.imports.local_time import ORDERS
from pipeline.imports.upload import MAX_NAME, ImportOptions
from pipeline.store.imports.imports import Import

MAX_LIMIT, DEFAULT_LIMIT = 100, 50
MAX_MAP = 8_192
"""Characters."""
_PRINTED = r"^[^\x00-\x1f\x7f]*$"
PresetName = Annotated[str, Field(min_length=1, max_length=64, pattern=_PRINTED)]


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("time_zone", "Must be a time zone such as Europe/Berlin.") from None
    return name


def _require_one_of(names: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise PydanticCustomError("literal_error", f"Must be {' or '.join(names)}.")
        return value

    return AfterValidator(check)


def _read_cursor(value: Any) -> Position:
    try:
        return parse_cursor(str(value))
    except ValueError as error:
        raise PydanticCustomError("value_error", str(error)) from None


Cursor = Annotated[tuple[datetime, UUID], BeforeValidator(_read_cursor), WithJsonSchema({"type": "string"})]
ImportFormat = TypeAliasType("ImportFormat", Literal["ndjson", "csv", "xlsx", "ods"])
RowVerdictName = TypeAliasType("RowVerdictName", Literal["accepted", "duplicate", "rejected"])


class UploadQuery(Query):
    """A file as its client describes it."""

    name: (
        Annotated[
            str,
            Field(min_length=1, max_length=MAX_NAME),
            WithJsonSchema({"type": "string", "maxLength": MAX_NAME}),
        ]
        | None
    ) = Field(None, description="Of the file, for people.")
    format: Annotated[Format, one_of([*Format])] | None = Field(
        None, description="Default: by Content-Type, name and first bytes."
    )
    strict: bool = Field(default=False, description="Apply nothing unless every row is good.")
    update: bool = Field(
        default=False,
        description="Edit the posts of rows whose external_id was used with another body; else they are rejected.",
    )
    time_zone: Annotated[str, AfterValidator(_check_zone)] | None = Field(
        None, max_length=64, description="Of local times in rows that name none. Default: the workspace's."
    )
    encoding: Annotated[str, _require_one_of(ENCODINGS), one_of([*ENCODINGS])] | None = Field(
        None, description="Of the text. Default: found out; a guess is noted with captions in both readings."
    )
    dates: Annotated[str, _require_one_of(ORDERS), one_of([*ORDERS])] | None = Field(
        None,
        description="The order of dates such as 01/12/2026. Default: that of a date which admits only one; a file "
        "whose dates all admit several is refused.",
    )
    blank: Annotated[str, _require_one_of((AUTO,)), one_of([AUTO])] | None = Field(
        None,
        description="The time of rows without one: the next free posting time. Default: they are refused.",
    )
    map: str | None = Field(
        None,
        max_length=MAX_MAP,
        pattern=_PRINTED,
        description="What the header calls our columns: `Text=caption,Date=local_time`; `Notes=` is not read. "
        "A name with a comma stands in quotes, as in CSV.",
    )
    preset: PresetName | None = Field(
        None, description="Such names by the name of a product, or of a kept map: `GET /imports/presets`."
    )
    save_as: PresetName | None = Field(
        None, description="Keep preset and map in the workspace by this name, for the next file."
    )
    accounts: str | None = Field(
        None,
        max_length=MAX_MAP,
        pattern=_PRINTED,
        description="Accounts of rows that name none: ids or `platform:username`, separated by commas.",
    )

    def to_options(self, content_encoding: str | None) -> ImportOptions:
        """Return the options of the file."""
        names = [one.strip() for one in (self.accounts or "").split(",") if one.strip()]
        given = self.model_dump(exclude={"format", "encoding", "accounts"})
        return ImportOptions(**given, encoding=content_encoding, text_encoding=self.encoding, accounts=names)


class ColumnPreset(ResponseModel):
    """What the headers of files call our columns."""

    name: str
    columns: dict[str, str] = Field(description="Our columns by what a header calls them; blank: not read.")
    source: str | None = Field(
        description="The page of the product that says so; null: kept by the workspace."
    )


class ColumnPresets(ResponseModel):
    """The presets of other products, and those that the workspace keeps."""

    presets: list[ColumnPreset]


class ListQuery(Query):
    """A page of imports."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: Cursor | None = Field(None, description="next_cursor of the previous page.")


class RowQuery(Query):
    """Which rows of an import, and as what."""

    verdict: Annotated[RowVerdict, one_of([*RowVerdict])] | None = Field(
        None, description="Only rows of this verdict."
    )
    format: Literal["ndjson", "csv"] | None = Field(
        None,
        description="ndjson: receipts. csv: the original columns and `error`; not of an NDJSON file. Default: as the "
        "file.",
    )


class ApplyBody(Body):
    """The plan to apply."""

    plan: str = Field(
        pattern="^[0-9a-f]{64}$", description="`plan.hash` of the import, as it was read and checked."
    )


class ImportCounts(ResponseModel):
    """Rows read so far by verdict: accepted + duplicate + rejected = rows, at any time."""

    rows: int
    accepted: int = Field(description="Applying them makes or edits a post, or has.")
    duplicate: int = Field(description="Their posts were there before, or stand in an earlier row.")
    rejected: int


class ImportPlan(ResponseModel):
    """The changes that applying the import makes. Nothing is changed before."""

    hash: str = Field(
        description="Of this import and all of its rows: bodies, accounts, verdicts. For apply."
    )
    new: int = Field(description="Posts to create.")
    changed: int = Field(description="Posts to edit: their external_id was used with another body.")
    duplicate: int
    rejected: int
    warnings: int = Field(
        description="Rows with `warnings`: equal, alike or close to another row or post, or of a canceled post."
    )


class ImportError(ResponseModel):  # noqa: A001  a schema's name in the document
    """Why the import failed."""

    code: str
    message: str


class ImportHold(ResponseModel):
    """Why an import makes no posts for a while."""

    code: str
    message: str
    until: Timestamp


class ImportJob(ResponseModel):
    """One import."""

    id: UUID
    state: Annotated[str, one_of([*map(to_public, ImportState)])]
    name: str | None
    format: ImportFormat
    size: int = Field(description="Bytes of the file as it was sent.")
    strict: bool
    update: bool
    time_zone: str = Field(description="Of local times in rows that name none.")
    created_at: Timestamp
    total: int | None = Field(description="Rows of the file; null until they are counted.")
    counts: ImportCounts
    plan: ImportPlan | None = Field(description="null until every row is validated.")
    done: int = Field(description="Number of the last row that is applied, or rolled back.")
    result: dict[str, int] = Field(description="What applying and rolling back did so far.")
    notes: list[str] = Field(description="What was guessed about the file, such as its encoding.")
    error: ImportError | None
    held: ImportHold | None = Field(
        default=None, exclude_if=is_empty, description="Why no posts are made now, and until when."
    )
    expired: bool = Field(
        default=False,
        exclude_if=is_empty,
        description="True once its file and rows have expired, or were deleted.",
    )
    duplicate: bool = Field(
        default=False,
        exclude_if=is_empty,
        description="True if the file was sent before under the same Idempotency-Key.",
    )

    @classmethod
    def from_import(cls, job: Import, *, is_repeat: bool = False) -> Self:
        """Return the import as the API shows it."""
        return cls.from_rows(
            job,
            state=to_public(job.state),
            update=job.updates,
            counts=ImportCounts.from_rows(job),
            plan={**(job.plan or {}), "hash": (job.plan_hash or b"").hex()} if job.has_plan else None,
            result={to_public(name): count for name, count in job.result.items()},
            expired=job.is_removed,
            duplicate=is_repeat,
        )


class ImportPage(ResponseModel):
    """A page of imports, newest first."""

    imports: list[ImportJob]
    next_cursor: str | None


ConflictKind = TypeAliasType(
    "ConflictKind", Literal["quota", "pace", "pause", "approval", "grant", "content"]
)


class ImportDay(ResponseModel):
    """The posts, or the inbox drafts, of one account on one day, in UTC."""

    account_id: UUID
    platform: Platform
    username: str
    day: date
    delivered_as: DeliveredAs = Field(description="Inbox drafts have a daily quota of their own.")
    posts: int = Field(description="That the import adds.")
    before: int = Field(description="That are planned or sent already.")
    fits: int = Field(description="Of posts, that go out on time.")
    last_at: Timestamp | None = Field(description="When the last of them goes out; null if all are held.")


class ForecastAccount(ResponseModel):
    """What becomes of the posts of one account, as the release runs with the limits that publishing keeps."""

    account_id: UUID
    platform: Platform
    username: str
    posts: int
    on_time: int = Field(description="Within a minute of their times.")
    late: int
    held: int = Field(description="By a pause or for an approval, for as long as that lasts.")
    first_late: Timestamp | None = Field(description="When the first late one is due.")
    last_at: Timestamp | None = Field(description="When the last one goes out.")


class ImportConflict(ResponseModel):
    """Why posts of an account go out later than planned, or may not. No row is rejected for it."""

    kind: ConflictKind = Field(
        description="A full day; faster than the platform takes them; a pause; an approval that is needed; a grant "
        "that ends first; the same content twice."
    )
    account_id: UUID
    platform: Platform
    username: str
    posts: int = Field(description="Posts of the import that it concerns.")
    message: str


class ImportForecast(ResponseModel):
    """The changes that the rows of a plan make that are not applied yet."""

    accounts: list[ForecastAccount] = Field(description="Those with late posts first.")
    days: list[ImportDay]
    conflicts: list[ImportConflict]
    more_days: bool = Field(description="True if only the first 1,000 days of accounts are listed.")

    @classmethod
    def from_forecast(cls, found: Forecast) -> Self:
        """Return the forecast as the API shows it."""
        return cls(
            accounts=[fill_forecast(ForecastAccount, one) for one in found.accounts],
            days=[
                fill_forecast(ImportDay, day, delivered_as="inbox_draft" if day.drafts else "post")
                for day in found.days
            ],
            conflicts=[fill_forecast(ImportConflict, one) for one in found.conflicts],
            more_days=found.is_cut,
        )


Model = TypeVar("Model", bound=ResponseModel)


def fill_forecast(model: type[Model], found: AccountForecast | DayForecast | Conflict, **more: Any) -> Model:
    """Return a part of a forecast as the API shows it: its fields, and its account's names."""
    return model.from_rows(found, found.account, account_id=found.account.id, **more)
