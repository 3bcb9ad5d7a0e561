"""The types of request fields: each takes exactly what it says and explains what it does not take."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from adapters.field_types import MAX_URL, split_url, url_error
from pipeline.api.http import timestamp

FLAT_CAPTION, LONGEST_CAPTION = 500, 5000

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the operator's settings change about the fields; handed to pydantic as its context."""

    caption: int = FLAT_CAPTION
    """Longest caption, in code points."""
    media_origins: frozenset[str] = frozenset()
    """Exact origins outside https that media may come from."""


def _identity(value: Any) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise PydanticCustomError(
            "uuid_parsing", "Must be a UUID such as 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812."
        )
    return UUID(value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise PydanticCustomError("datetime_type", "Must be a string such as 2027-02-01T15:00:00Z.")
    try:
        return timestamp.parse(value)
    except timestamp.InvalidTimestamp as error:
        raise PydanticCustomError("datetime_parsing", str(error)) from None


def _caption(value: str, info: ValidationInfo) -> str:
    most = rules_of(info).caption
    if len(value) > most:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": most})
    if all(unicodedata.category(character) in _INVISIBLE for character in value):
        raise PydanticCustomError("blank", "It has no visible character.")
    return value


def _media_url(value: str, info: ValidationInfo) -> str:
    parts = split_url(value)
    if parts.scheme != "https" and f"{parts.scheme}://{parts.netloc}" not in rules_of(info).media_origins:
        raise url_error("Must be an https URL.")
    return value


def rules_of(info: ValidationInfo) -> Rules:
    """The rules this validation runs under."""
    return info.context if isinstance(info.context, Rules) else Rules()


Identity = Annotated[
    UUID, BeforeValidator(_identity), WithJsonSchema({"type": "string", "format": "uuid"}, mode="validation")
]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation"),
]
Caption = Annotated[
    str,
    AfterValidator(_caption),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": FLAT_CAPTION}, mode="validation"),
]
MediaUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_media_url),
]
