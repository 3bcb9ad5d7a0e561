"""Field types for the sections of a request that adapters declare, shared with the API's other fields."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

MAX_URL = 2048

_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")  # urlsplit drops some of these in silence, browsers read \ as /


def at_most(most: int) -> BeforeValidator:
    """Refuse an array of more than *most* items before any of them is validated."""

    def check(value: Any) -> Any:
        if isinstance(value, list) and len(value) > most:
            raise PydanticCustomError("too_long", f"{most} at most; there are {len(value)}.")
        return value

    return BeforeValidator(check)


def split_url(value: str) -> SplitResult:
    """Split an absolute URL without user name and password. Raises the error that a client reads otherwise."""
    if _UNFIT.search(value):
        raise url_error("A URL has no blanks, control characters or backslashes; escape them.")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise url_error(_UNREADABLE) from None
    if fault := _find_host_fault(parts.netloc):
        raise url_error(fault)
    if not parts.scheme:
        raise url_error(_RELATIVE)
    return parts


_UNREADABLE = "Not a URL: its host or port cannot be read."
_RELATIVE = "Not an absolute URL such as https://example.com/video.mp4."


@lru_cache(maxsize=1000)
def _find_host_fault(netloc: str) -> str | None:
    """Return what is wrong with the host and port of a URL. Cached, because hosts repeat."""
    parts = SplitResult("", netloc, "", "", "")
    try:
        _ = parts.port
    except ValueError:
        return _UNREADABLE
    if "@" in netloc:
        return "A URL here carries no user name or password."
    return None if parts.hostname else _RELATIVE


def url_error(message: str) -> PydanticCustomError:
    """Return the validation error of a field that takes a URL."""
    return PydanticCustomError("url_parsing", message)


def _require_web_url(value: str) -> str:
    if split_url(value).scheme not in ("https", "http"):
        raise url_error("Must be an http or https URL.")
    return value


WebUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_require_web_url),
]
