"""Queries and bodies of the operations on imports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams
from typing_extensions import TypeAliasType

from pipeline.api.http.json_body import validate_body
from pipeline.api.http.query import refuse_near_misses
from pipeline.api.posts.pagination import Position, parse_cursor
from pipeline.api.posts.schema import Body
from pipeline.domain.bulk_import import RowVerdict
from pipeline.imports.columns import Format

MAX_NAME = 255
MAX_LIMIT, DEFAULT_LIMIT = 100, 50


class Query(Body):
    """A query string: values are texts, read as what their fields are."""

    model_config = ConfigDict(strict=False)


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("time_zone", "Must be a time zone such as Europe/Berlin.") from None
    return name


def _read_cursor(value: Any) -> Position:
    try:
        return parse_cursor(str(value))
    except ValueError as error:
        raise PydanticCustomError("value_error", str(error)) from None


_Cursor = Annotated[tuple[datetime, UUID], BeforeValidator(_read_cursor), WithJsonSchema({"type": "string"})]
ImportFormat = TypeAliasType("ImportFormat", Literal["ndjson", "csv", "xlsx", "ods"])
RowVerdictName = TypeAliasType("RowVerdictName", Literal["accepted", "duplicate", "rejected"])


class UploadQuery(Query):
    """A file as its client describes it."""

    name: str | None = Field(None, min_length=1, max_length=MAX_NAME, description="Of the file, for people.")
    format: Format | None = Field(None, description="Default: by Content-Type, name and first bytes.")
    strict: bool = Field(default=False, description="Apply nothing unless every row is good.")
    update: bool = Field(
        default=False,
        description="Edit the posts of rows whose external_id was used with another body; else they are rejected.",
    )
    time_zone: Annotated[str, AfterValidator(_check_zone)] | None = Field(
        None, max_length=64, description="Of local times in rows that name none: Europe/Berlin."
    )


class ListQuery(Query):
    """A page of imports."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: _Cursor | None = None


class RowQuery(Query):
    """Which rows of an import, and as what."""

    verdict: RowVerdict | None = None
    format: Literal["ndjson", "csv"] | None = None


class ApplyBody(Body):
    """The plan to apply."""

    plan: str = Field(
        pattern="^[0-9a-f]{64}$", description="`plan.hash` of the import, as it was read and checked."
    )


QueryT = TypeVar("QueryT", bound=Query)


def read_query(model: type[QueryT], raw: bytes) -> QueryT:
    """Parse a query string. Raises Refusal 422, also for a name that resembles a known one; other names are ignored."""
    refuse_near_misses(raw, model.model_fields)
    given = {name: text for name, text in QueryParams(raw).items() if text and name in model.model_fields}
    return validate_body(model, given)
