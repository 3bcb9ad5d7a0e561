"""The types of request fields: each takes exactly what it says and explains what it does not take."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from pipeline.api.http import timestamp

MAX_URL = 2048
FLAT_CAPTION, LONGEST_CAPTION = 500, 5000

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")  # urlsplit drops some of these in silence, browsers read \ as /
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the operator's settings change about the fields; handed to pydantic as its context."""

    caption: int = FLAT_CAPTION
    """Longest caption, in code points."""
    media_origins: frozenset[str] = frozenset()
    """Exact origins outside https that media may come from."""


def at_most(most: int) -> BeforeValidator:
    """Refuses a longer array before any of its members is looked at."""

    def check(value: Any) -> Any:
        if isinstance(value, list) and len(value) > most:
            raise PydanticCustomError("too_long", f"{most} at most; there are {len(value)}.")
        return value

    return BeforeValidator(check)


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
        return timestamp.read(value)
    except timestamp.NotATime as error:
        raise PydanticCustomError("datetime_parsing", str(error)) from None


def _caption(value: str, info: ValidationInfo) -> str:
    most = rules_of(info).caption
    if len(value) > most:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": most})
    if all(unicodedata.category(character) in _INVISIBLE for character in value):
        raise PydanticCustomError("blank", "It has no visible character.")
    return value


def _url(schemes: Collection[str], wanted: str) -> Callable[[str, ValidationInfo], str]:
    def check(value: str, info: ValidationInfo) -> str:
        scheme, origin = _parts(value)
        if scheme not in schemes and origin not in rules_of(info).media_origins:
            raise _no_url(f"Must be {wanted}.")
        return value

    return check


def _parts(value: str) -> tuple[str, str]:
    """Scheme and origin of an absolute URL."""
    if _UNFIT.search(value):
        raise _no_url("A URL has no blanks, control characters or backslashes; escape them.")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise _no_url("Not a URL: its host or port cannot be read.") from None
    if "@" in parts.netloc:
        raise _no_url("A URL here carries no user name or password.")
    if not parts.scheme or not parts.hostname:
        raise _no_url("Not an absolute URL such as https://example.com/video.mp4.")
    return parts.scheme, f"{parts.scheme}://{parts.netloc}"


def _no_url(message: str) -> PydanticCustomError:
    return PydanticCustomError("url_parsing", message)


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
    AfterValidator(_url({"https"}, "an https URL")),
]
WebUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_url({"https", "http"}, "an http or https URL")),
]
