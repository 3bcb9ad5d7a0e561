"""The table of what is put through the suite: one row a post kind of a platform, for which a stand-in exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from adapters.contract import Adapter, MediaFacts, Platform, Track
from adapters.registry import ADAPTERS
from adapters.sandbox.platforms import PLATFORMS


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One post kind of one platform. ``kind`` is its row in the lost-answer table of the adapter's README."""

    platform: Platform
    kind: str
    stand_in: str
    """What the sandbox's control calls the platform."""
    files: Sequence[str]
    connection: str | None = None
    """Where it is not the one the sandbox gives its accounts."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The draft's."""
    of_account: Mapping[str, Any] = field(default_factory=dict)
    """Options of the sandbox's account."""
    of_platform: Mapping[str, Any] = field(default_factory=dict)
    """Options of PlatformSettings."""
    variant: str = ""
    """Another way to the same kind."""
    searched: bool = False
    """After a lost answer it is looked for in a list: a post of another delivery must never be taken for it."""
    shapeless: bool = False
    """The probe could not tell the file's width and height."""
    track: Track | None = None
    readme: Path | None = None
    """The adapter's README, where it is not in its place."""

    @property
    def name(self) -> str:
        """As the tests and the summary call it."""
        return f"{self.platform} {self.kind}" + (f", {self.variant}" if self.variant else "")

    @property
    def draft_kind(self) -> Literal["video", "slideshow"]:
        """As the core would have read the request."""
        return "video" if self.files[0].endswith(".mp4") else "slideshow"


PHOTO, PHOTOS = ("sample-1.jpg",), ("sample-1.jpg", "sample-2.jpg", "sample-3.jpg")
VIDEO, LARGE = ("sample.mp4",), ("sample-large.mp4",)
PADDED = {"sample-2mb.mp4": 2_200_000, "sample-5mb.mp4": 5_000_000}
"""The sample made longer by an empty box: enough for several chunks, and no more than that."""
MB2, MB5 = (("sample-2mb.mp4",), ("sample-5mb.mp4",))
CHARTED = Track(
    post_id="7300000000000000007",
    sound_id="7221171716369631233",
    title="Track",
    artist="Artist",
    link="https://www.tiktok.com/@ann/video/7300000000000000007",
)
PRIVATE, DRAFT = {"privacy_level": "SELF_ONLY"}, {"post_mode": "MEDIA_UPLOAD"}
BOARD = {"default_board": True}


def _tiktok(kind: str, files: Sequence[str], stand_in: str = "tiktok", **more: Any) -> Subject:
    return Subject(platform=Platform.TIKTOK, kind=kind, stand_in=stand_in, files=files, **more)


def _instagram(kind: str, files: Sequence[str], **more: Any) -> Subject:
    return Subject(platform=Platform.INSTAGRAM, kind=kind, stand_in="instagram", files=files, **more)


def _facebook(kind: str, files: Sequence[str], **more: Any) -> Subject:
    return Subject(platform=Platform.FACEBOOK, kind=kind, stand_in="facebook", files=files, **more)


def _youtube(kind: str, files: Sequence[str], **more: Any) -> Subject:
    return Subject(platform=Platform.YOUTUBE, kind=kind, stand_in="youtube", files=files, **more)


def _pinterest(kind: str, files: Sequence[str], link: str | None = None) -> Subject:
    options = {} if link is None else {"link": link}
    return Subject(
        platform=Platform.PINTEREST,
        kind=kind,
        stand_in="pinterest",
        files=files,
        options=options,
        of_account=BOARD,
        searched=True,
    )


def _linkedin(kind: str, files: Sequence[str], author: str) -> Subject:
    return Subject(
        platform=Platform.LINKEDIN,
        kind=kind,
        stand_in="linkedin",
        files=files,
        of_account={"kind": author},
        searched=author == "organization",
    )


EVERY: tuple[Subject, ...] = (
    _tiktok("creator video", VIDEO),
    _tiktok("creator video", LARGE, variant="chunks"),
    _tiktok("creator photos, public", PHOTOS, searched=True),
    _tiktok("creator photos, not public", PHOTO, options=PRIVATE),
    _tiktok("creator draft", PHOTO, options=DRAFT),
    _tiktok("business video", VIDEO, "tiktok_business", searched=True),
    _tiktok("business video", VIDEO, "tiktok_business", variant="with a sound", track=CHARTED, searched=True),
    _tiktok("business photos, public", PHOTOS, "tiktok_business", searched=True),
    _tiktok("business photos, not public", PHOTO, "tiktok_business", options=PRIVATE),
    _tiktok("business draft", PHOTO, "tiktok_business", options=DRAFT),
    _instagram("image", PHOTO),
    _instagram("image", PHOTO, variant="facebook_login", connection="facebook_login"),
    _instagram("carousel", PHOTOS),
    _instagram("reel", VIDEO),
    _instagram(
        "reel", VIDEO, variant="bytes", connection="facebook_login", of_platform={"byte_upload": True}
    ),
    _facebook("feed post", PHOTO, variant="one photo"),
    _facebook("feed post", PHOTOS),
    _facebook("feed post, direct", PHOTO, of_platform={"feed_mode": "direct"}, searched=True),
    _facebook("reel", VIDEO),
    _facebook("reel", VIDEO, variant="bytes", of_platform={"byte_upload": True}),
    _facebook("video", MB2, shapeless=True),
    _youtube("video", VIDEO),
    _youtube("video", LARGE, variant="chunks"),
    _pinterest("image, with a link", PHOTO, "https://example.com/shop?a=1"),
    _pinterest("image, without a link", PHOTO),
    _pinterest("carousel, with a link", PHOTOS, "https://example.com/shop"),
    _pinterest("carousel, without a link", PHOTOS),
    _pinterest("video, with a link", VIDEO, "https://example.com/film"),
    _pinterest("video, without a link", VIDEO),
    _linkedin("image of a member", PHOTO, "person"),
    _linkedin("images of a member", PHOTOS, "person"),
    _linkedin("video of a member", MB5, "person"),
    _linkedin("image of an organization", PHOTO, "organization"),
    _linkedin("images of an organization", PHOTOS, "organization"),
    _linkedin("video of an organization", MB5, "organization"),
)


def ready(adapters: Mapping[Platform, type[Adapter]] = ADAPTERS) -> tuple[Subject, ...]:
    """Those whose platform has an adapter in the registry and a stand-in in the sandbox: nothing else is needed."""
    return tuple(s for s in EVERY if s.platform in adapters and s.stand_in in PLATFORMS)


def facts_of(name: str, size: int, *, shapeless: bool = False) -> MediaFacts:
    """What a probe sees of the sandbox's samples (adapters/sandbox/samples.py makes them)."""
    if not name.endswith(".mp4"):
        return MediaFacts(content_type="image/jpeg", bytes=size, width=1080, height=1350)
    return MediaFacts(
        content_type="video/mp4",
        bytes=size,
        duration=5.0,
        codec="h264",
        fps=30.0,
        width=None if shapeless else 540,
        height=None if shapeless else 960,
    )
