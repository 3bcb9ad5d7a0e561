"""Types of request fields, with the error that a client reads about a value they refuse."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from adapters.post_options import MAX_URL, split_url, url_error
from config.settings import Settings
from pipeline.api.http import timestamp

FLAT_CAPTION, MAX_CAPTION = 500, 5000

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


def _check_caption(value: str, info: ValidationInfo) -> str:
    most = get_rules(info).caption
    if len(value) > most:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": most})
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
Caption = Annotated[
    str,
    AfterValidator(_check_caption),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": FLAT_CAPTION}, mode="validation"),
]
MediaUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_check_media_url),
]
OnLate = TypeAliasType("OnLate", Literal["publish", "skip", "hold"])
"""The action on a post that is too late."""
