"""The Pinterest section of a post request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from adapters.contract import Platform
from adapters.field_types import WebUrl, at_most
from adapters.post_options import PostOptions

MAX_TAGS = 30


class PinterestOptions(PostOptions):
    """Options of a pin; when at least one account is Pinterest."""

    platform: ClassVar[Platform] = Platform.PINTEREST

    defaults: ClassVar[Mapping[str, Any]] = {"tags": []}

    board_id: str | None = Field(None, min_length=1, max_length=128)
    title: str | None = Field(None, max_length=100)
    link: WebUrl | None = None
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=MAX_TAGS),
            at_most(MAX_TAGS),
        ]
        | None
    ) = None
