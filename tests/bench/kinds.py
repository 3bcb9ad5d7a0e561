"""Post kinds that are measured; a new kind is one line of ``KINDS``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.contract import Platform
from adapters.registry import ADAPTERS
from adapters.sandbox.server import PLATFORMS
from pipeline.store.checks.checks import Purpose
from tests.stack import Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class PostKind:
    """A kind of post: its sample files on the sandbox's media host, and its options."""

    name: str
    account: str
    """The sandbox's name of the platform."""
    files: tuple[str, ...]
    post_options: Mapping[Platform, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] | None = None
    """Options of the account in the sandbox; its answer contains the account's settings."""

    @property
    def platform(self) -> str:
        """The registry's name of the platform."""
        return self.account.partition("_")[0]

    @property
    def purpose(self) -> Purpose:
        """Purpose of the checks of its files."""
        return "video" if self.files[0].endswith(".mp4") else "image"

    def media(self, stack: Stack) -> dict[str, Any]:
        """Return the ``media`` of a request."""
        urls = [stack.media(name) for name in self.files]
        return (
            {"type": "video", "url": urls[0]}
            if self.purpose == "video"
            else {"type": "slideshow", "urls": urls}
        )


PHOTO = ("sample-1.jpg",)
PHOTOS = ("sample-1.jpg", "sample-2.jpg", "sample-3.jpg")
VIDEO = ("sample.mp4",)

TIKTOK_PHOTO = PostKind(name="tiktok photo", account="tiktok", files=PHOTO)
KINDS = (
    PostKind(name="tiktok video", account="tiktok", files=VIDEO),
    TIKTOK_PHOTO,
    PostKind(
        name="tiktok draft",
        account="tiktok",
        files=PHOTO,
        post_options={Platform.TIKTOK: {"post_mode": "MEDIA_UPLOAD"}},
    ),
    PostKind(name="instagram image", account="instagram", files=PHOTO),
    PostKind(name="instagram reel", account="instagram", files=VIDEO),
    PostKind(name="instagram carousel", account="instagram", files=PHOTOS),
    PostKind(name="facebook photo", account="facebook", files=PHOTO),
    PostKind(name="facebook video", account="facebook", files=VIDEO),
    PostKind(name="youtube video", account="youtube", files=VIDEO),
    PostKind(name="pinterest image", account="pinterest", files=PHOTO, options={"default_board": True}),
    PostKind(name="linkedin image", account="linkedin", files=PHOTO),
)


def list_measurable(most: int) -> list[PostKind]:
    """Return the kinds whose platform has an adapter and a sandbox, at most *most* per platform."""
    adapters = {str(platform) for platform in ADAPTERS}
    there = [kind for kind in KINDS if kind.platform in adapters and kind.account in PLATFORMS]
    return [
        kind for n, kind in enumerate(there) if [k.platform for k in there[:n]].count(kind.platform) < most
    ]
