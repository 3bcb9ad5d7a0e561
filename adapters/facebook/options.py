"""The Facebook section of a post request."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from adapters.contract import Platform
from adapters.post_options import PostOptions


class FacebookOptions(PostOptions):
    """Options of a post on a Facebook Page; when at least one account is Facebook."""

    platform: ClassVar[Platform] = Platform.FACEBOOK

    # ours: the vendor's pages name no longest title
    title: str | None = Field(None, min_length=1, max_length=255, description="Of a video or reel.")
