"""The TikTok section of a post request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from adapters.post_options import MediaConflict, PostOptions

PostMode = TypeAliasType("PostMode", Literal["DIRECT_POST", "MEDIA_UPLOAD"])
PrivacyLevel = TypeAliasType(
    "PrivacyLevel",
    Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"],
)


class TikTokOptions(PostOptions):
    """Options of a TikTok post; only when all accounts are TikTok."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    accounts: ClassVar[Literal["all", "any"]] = "all"

    defaults: ClassVar[Mapping[str, Any]] = {
        "post_mode": "DIRECT_POST",
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "disable_comment": False,
        "disable_duet": False,
        "disable_stitch": False,
        "auto_add_music": False,
        "is_commercial": False,
        "is_branded_content": False,
        "user_consent": False,
        "is_your_brand": False,
    }
    inbox_draft: ClassVar[Mapping[str, Any]] = {"post_mode": "MEDIA_UPLOAD"}

    title: str | None = Field(None, max_length=150)
    description: str | None = Field(None, max_length=2200)
    post_mode: PostMode | None = Field(
        None,
        description="Default DIRECT_POST; MEDIA_UPLOAD leaves a draft in the account's inbox, of a slideshow only.",
    )
    privacy_level: PrivacyLevel | None = Field(None, description="Default PUBLIC_TO_EVERYONE.")
    disable_comment: bool | None = None
    disable_duet: bool | None = None
    disable_stitch: bool | None = None
    auto_add_music: bool | None = None
    is_commercial: bool | None = None
    is_branded_content: bool | None = None
    user_consent: bool | None = None
    is_your_brand: bool | None = None

    @classmethod
    def find_media_conflicts(cls, options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:
        """Refuse an inbox draft of a video: TikTok has none."""
        if media_type == "video" and cls.is_inbox_draft(options):
            yield MediaConflict(
                field="post_mode",
                message="MEDIA_UPLOAD takes a slideshow only, and media is a video.",
                value="MEDIA_UPLOAD",
            )
