"""The YouTube section of a post request.

Limits: developers.google.com/youtube/v3/docs/videos (properties title, tags, categoryId, status), read 2026-11-24.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from adapters.field_types import at_most
from adapters.post_options import PostOptions

MAX_TAGS = 250
"""The most that 500 characters with commas between them hold; ``problems.py`` counts the characters."""

YouTubePrivacy = TypeAliasType("YouTubePrivacy", Literal["public", "unlisted", "private"])


class YouTubeOptions(PostOptions):
    """Options of a YouTube video; when at least one account is YouTube."""

    platform: ClassVar[Platform] = Platform.YOUTUBE

    title: str | None = Field(None, max_length=100, description="Default: the caption's first line.")
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=MAX_TAGS, description="Default: the caption's hashtags. 500 characters in all."),
            at_most(MAX_TAGS),
        ]
        | None
    ) = None
    privacy: YouTubePrivacy | None = Field(None, description="Default: as the server's operator has set.")
    made_for_kids: bool | None = Field(None, description="Whether the video is made for children (COPPA).")
    category: str | None = Field(
        None, pattern=r"^\d{1,3}$", description="YouTube's category id. Default: as the operator has set."
    )
