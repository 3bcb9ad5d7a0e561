"""The Instagram section of a post request.

Limits: developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media, v25.0 text of
2026-09-11, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from adapters.contract import Platform
from adapters.field_types import at_most
from adapters.post_options import PostOptions

MAX_COLLABORATORS = 3


class InstagramOptions(PostOptions):
    """Options of an Instagram post; when at least one account is Instagram."""

    platform: ClassVar[Platform] = Platform.INSTAGRAM

    defaults: ClassVar[Mapping[str, Any]] = {"collaborators": []}

    collaborators: (
        Annotated[
            list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._]{1,30}$")]],
            Field(
                max_length=MAX_COLLABORATORS, description="Usernames, without @, of those who are invited."
            ),
            at_most(MAX_COLLABORATORS),
        ]
        | None
    ) = None
    share_to_feed: bool | None = Field(
        None,
        description="Of a reel: whether it also appears in the profile's feed. Default: Instagram's own.",
    )
    location_id: str | None = Field(
        None, pattern=r"^\d{1,32}$", description="Id of the Facebook Page of a place."
    )
