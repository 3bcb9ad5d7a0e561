"""Types of request fields, with the error that a client reads about a value they refuse."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from adapters.post_options import MAX_URL, split_url, url_error
from config.settings import Settings
from pipeline.api.http import timestamp
from pipeline.domain.posting_times import AUTO, AutoTime

FLAT_CAPTION, MAX_CAPTION = 500, 5000
MAX_COMMENT = 8000

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The rules about fields that the operator's settings change; passed to pydantic as the validation context."""

    caption: int = FLAT_CAPTION
    """Maximum length of a caption, in code points."""
    media_origins: frozenset[str] = frozenset()
    """Origins that media may come from in addition to https."""


def build_rules(settings: Settings) -> Rules:
    """Return the rules that these settings make."""
    return Rules(
        caption=FLAT_CAPTION if settings.ingest.caption_limit == "flat" else MAX_CAPTION,
        media_origins=settings.media_origins | {settings.files_origin},
    )


def _parse_id(value: Any) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise PydanticCustomError(
            "uuid_parsing", "Must be a UUID such as 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812."
        )
    return UUID(value)


def _parse_time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise PydanticCustomError("datetime_type", "Must be a string such as 2027-02-01T15:00:00Z.")
    try:
        return timestamp.parse(value)
    except timestamp.InvalidTimestamp as error:
        raise PydanticCustomError("datetime_parsing", str(error)) from None


def _parse_time_or_auto(value: Any) -> datetime | AutoTime:
    if not isinstance(value, str) or not value.startswith(AUTO):
        return _parse_time(value)
    word, _, after = value.partition(" after ")
    if word != AUTO:
        raise PydanticCustomError(
            "datetime_parsing", "Must be a time, auto, or auto after 2027-02-01T00:00:00Z."
        )
    return AutoTime(after=_parse_time(after) if value != AUTO else None)


def _check_caption(value: str, info: ValidationInfo) -> str:
    most = get_rules(info).caption
    if len(value) > most:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": most})
    return _require_visible(value)


def _require_visible(value: str) -> str:
    if all(unicodedata.category(character) in _INVISIBLE for character in value):
        raise PydanticCustomError("blank", "It has no visible character.")
    return value


def _check_media_url(value: str, info: ValidationInfo) -> str:
    parts = split_url(value)
    if parts.scheme != "https" and f"{parts.scheme}://{parts.netloc}" not in get_rules(info).media_origins:
        raise url_error("Must be an https URL.")
    return value


def get_rules(info: ValidationInfo) -> Rules:
    """Return the rules of this validation."""
    return info.context if isinstance(info.context, Rules) else Rules()


def check_one_of(names: Sequence[str]) -> AfterValidator:
    """Return the check that a string is one of *names*."""

    def check(value: str) -> str:
        if value not in names:
            raise PydanticCustomError("literal_error", "Must be one of {names}.", {"names": ", ".join(names)})
        return value

    return AfterValidator(check)


EntityId = Annotated[
    UUID, BeforeValidator(_parse_id), WithJsonSchema({"type": "string", "format": "uuid"}, mode="validation")
]
DateTime = Annotated[
    datetime,
    BeforeValidator(_parse_time),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation"),
]
TimeOrAuto = Annotated[
    datetime | AutoTime,
    PlainValidator(_parse_time_or_auto),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "title": "Time"},
                {"type": "string", "pattern": "^auto( after .+)?$", "title": "Next free posting time"},
            ]
        },
        mode="validation",
    ),
]
"""A time, or ``auto``, or ``auto after`` a time: the next free posting time of each account."""
Caption = Annotated[
    str,
    AfterValidator(_check_caption),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": FLAT_CAPTION}, mode="validation"),
]
VisibleText = Annotated[str, AfterValidator(_require_visible)]
FirstComment = Annotated[VisibleText, Field(max_length=MAX_COMMENT)]
"""Each platform has a limit of its own, which its adapter checks."""
MediaUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_check_media_url),
]
OnLate = TypeAliasType("OnLate", Literal["publish", "skip", "hold"])
"""The action on a post that is too late."""


def dump_sent(section: BaseModel | None) -> dict[str, Any] | None:
    """Return a section as the client sent it, without nulls and absent fields."""
    return None if section is None else section.model_dump(exclude_unset=True, exclude_none=True)


def sort_keys(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object with its keys in order."""
    return dict(sorted(section.items()))


def split_time(asked: datetime | AutoTime | None) -> dict[str, Any]:
    """Return a requested time as the fields ``scheduled_at`` and ``auto``, one of them at most."""
    is_auto = isinstance(asked, AutoTime)
    return {"scheduled_at": None if is_auto else asked, "auto": asked if is_auto else None}
