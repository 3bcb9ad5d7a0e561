"""A platform's section of a post request: the base of its model, and field types shared with the API's other fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from adapters.contract import Platform
from adapters.limit import ImageRule

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
    """Return the fault in the host or port of a URL, None without one. Cached, because hosts repeat."""
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


def find_link_conflict(options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:
    """Find a ``link`` beside media: the platforms document its card for a text post only."""
    if options.get("link") and media_type != "text":
        message = (
            "A link is for a post of text alone (media.type text); write it into the caption of another."
        )
        yield MediaConflict(field="link", message=message, value=options["link"])


WebUrl = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_require_web_url),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaConflict:
    """An option that the media of the request rule out."""

    field: str
    message: str
    value: str


class PostOptions(BaseModel):
    """A platform's section of a post request: strict types, no unknown keys. A platform's adapter declares the fields.

    The pipeline stores what a client sent, without nulls, and passes it to the adapter as ``Draft.options``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    platform: ClassVar[Platform]
    accounts: ClassVar[Literal["all", "any"]] = "any"
    """How many of a request's accounts have to be the platform's: all of them, or at least one."""
    excludes: ClassVar[frozenset[Platform]] = frozenset()
    """Platforms whose section no post with this one may have, in an entry of its accounts neither."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Values that mean the same as an absent field: requests with either are equal."""
    inbox_drafts: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """The options that leave a draft for the account's owner to publish, each by itself; none without drafts.

    Plain values: the ledger's statements compare them too, by jsonb containment.
    """

    @classmethod
    def is_inbox_draft(cls, options: Mapping[str, Any]) -> bool:
        """Return True if these options leave a draft for the account's owner to publish."""
        return any(draft.items() <= options.items() for draft in cls.inbox_drafts)

    @classmethod
    def find_kind(cls, options: Mapping[str, Any]) -> str | None:  # noqa: ARG003
        """Return the kind of post that these options ask for; None: the one that its media make."""
        return None

    @classmethod
    def find_image_rule(cls, options: Mapping[str, Any]) -> ImageRule | None:  # noqa: ARG003
        """Return the limits of an image of a post with these options; None: those of the platform."""
        return None

    @classmethod
    def find_media_conflicts(cls, options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:  # noqa: ARG003
        """Find options that cannot go with media of this type (``video``, ``slideshow``, ``text`` or ``document``)."""
        return iter(())
