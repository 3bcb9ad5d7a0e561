"""The LinkedIn section of a post request.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/posts-api, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from adapters.post_options import PostOptions

Visibility = TypeAliasType("Visibility", Literal["PUBLIC", "CONNECTIONS", "LOGGED_IN"])


class LinkedInOptions(PostOptions):
    """Options of a LinkedIn post; when at least one account is LinkedIn."""

    platform: ClassVar[Platform] = Platform.LINKEDIN

    defaults: ClassVar[Mapping[str, Any]] = {"visibility": "PUBLIC"}

    visibility: Visibility | None = Field(
        None, description="Default PUBLIC. CONNECTIONS is for members: organizations have none."
    )
    # ours: LinkedIn's page names no longest title
    title: str | None = Field(None, min_length=1, max_length=400, description="Of a video or a single image.")
