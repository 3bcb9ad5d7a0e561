"""A platform's section of a post request: the base of the models in each ``options.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from adapters.contract import Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaConflict:
    """An option that the media of the request rule out."""

    field: str
    message: str
    value: str


class PostOptions(BaseModel):
    """A platform's section of a post request: strict types and no unknown keys. ``options.py`` declares the fields.

    The pipeline stores what a client sent, without nulls, and passes it to the adapter as ``Draft.options``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    platform: ClassVar[Platform]
    accounts: ClassVar[Literal["all", "any"]] = "any"
    """How many of a request's accounts have to be the platform's: all of them, or at least one."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Values that mean the same as an absent field: requests with either are equal."""
    inbox_draft: ClassVar[Mapping[str, Any]] = {}
    """The options that leave a draft for the account's owner to publish; none where the platform has no drafts.

    Plain values: the ledger's statements compare them too, by jsonb containment.
    """

    @classmethod
    def is_inbox_draft(cls, options: Mapping[str, Any]) -> bool:
        """Return True if these options leave a draft for the account's owner to publish."""
        return bool(cls.inbox_draft) and cls.inbox_draft.items() <= options.items()

    @classmethod
    def find_media_conflicts(cls, options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:  # noqa: ARG003
        """Find options that cannot go with media of this type (``video`` or ``slideshow``)."""
        return iter(())
