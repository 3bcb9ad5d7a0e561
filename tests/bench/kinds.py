"""The table of post kinds that are measured; a new one is a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.contract import Platform
from adapters.registry import ADAPTERS
from adapters.sandbox.platforms import PLATFORMS
from pipeline.store.checks.checks import Purpose
from tests.stack import Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of post: samples of the sandbox's media host, and the options it takes."""

    name: str
    account: str
    """Platform as the sandbox's control calls it."""
    files: tuple[str, ...]
    post_options: Mapping[Platform, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] | None = None
    """What the sandbox is to furnish the account with; its answer says what our settings of the account are then."""

    @property
    def platform(self) -> str:
        """Platform as the registry calls it."""
        return self.account.partition("_")[0]

    @property
    def purpose(self) -> Purpose:
        """What its files are checked as."""
        return "video" if self.files[0].endswith(".mp4") else "image"

    def media(self, stack: Stack) -> dict[str, Any]:
        """The request's media."""
        urls = [stack.media(name) for name in self.files]
        return (
            {"type": "video", "url": urls[0]}
            if self.purpose == "video"
            else {"type": "slideshow", "urls": urls}
        )


PHOTO = ("sample-1.jpg",)
PHOTOS = ("sample-1.jpg", "sample-2.jpg", "sample-3.jpg")
VIDEO = ("sample.mp4",)

TIKTOK_PHOTO = Kind(name="tiktok photo", account="tiktok", files=PHOTO)
KINDS = (
    Kind(name="tiktok video", account="tiktok", files=VIDEO),
    TIKTOK_PHOTO,
    Kind(
        name="tiktok draft",
        account="tiktok",
        files=PHOTO,
        post_options={Platform.TIKTOK: {"post_mode": "MEDIA_UPLOAD"}},
    ),
    Kind(name="instagram image", account="instagram", files=PHOTO),
    Kind(name="instagram reel", account="instagram", files=VIDEO),
    Kind(name="instagram carousel", account="instagram", files=PHOTOS),
    Kind(name="facebook photo", account="facebook", files=PHOTO),
    Kind(name="facebook video", account="facebook", files=VIDEO),
    Kind(name="youtube video", account="youtube", files=VIDEO),
    Kind(name="pinterest image", account="pinterest", files=PHOTO, options={"default_board": True}),
    Kind(name="linkedin image", account="linkedin", files=PHOTO),
)


def list_measurable(most: int) -> list[Kind]:
    """Those whose platform has both an adapter and a stand-in; at most so many of a platform."""
    adapters = {str(platform) for platform in ADAPTERS}
    there = [kind for kind in KINDS if kind.platform in adapters and kind.account in PLATFORMS]
    return [
        kind for n, kind in enumerate(there) if [k.platform for k in there[:n]].count(kind.platform) < most
    ]
