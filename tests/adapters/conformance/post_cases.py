"""The cases of the suite: one row for each post kind of each platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from adapters.contract import Adapter, MediaFacts, Platform, Track
from adapters.registry import ADAPTERS
from adapters.sandbox.server import PLATFORMS


@dataclass(frozen=True, kw_only=True, slots=True)
class PostCase:
    """One post kind of one platform; ``kind`` names its row in the README's table of lost responses."""

    platform: Platform
    kind: str
    sandbox_platform: str
    """The platform's name in the sandbox's control API."""
    files: Sequence[str]
    connection: str | None = None
    """None: the connection that the sandbox gives its accounts."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the draft."""
    account_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the sandbox's account."""
    platform_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of PlatformSettings."""
    variant: str = ""
    """Distinguishes cases of the same kind."""
    is_searched: bool = False
    """A look after a lost response searches a list, and must never find a post of another delivery."""
    hides_dimensions: bool = False
    """The media facts have no width and height."""
    track: Track | None = None
    readme: Path | None = None
    """The adapter's README; None: ``adapters/<platform>/README.md``."""

    @property
    def name(self) -> str:
        """Return the name in test ids and in the summary."""
        return f"{self.platform} {self.kind}" + (f", {self.variant}" if self.variant else "")

    @property
    def draft_kind(self) -> Literal["video", "slideshow", "text", "document"]:
        """Return the form that the request's media would have."""
        if not self.files:
            return "text"
        kind = find_media_kind(self.files[0])
        return "slideshow" if kind == "image" else kind


def find_media_kind(name: str) -> Literal["image", "video", "document"]:
    """Return what a sample is, by its name."""
    if name.endswith(".mp4"):
        return "video"
    return "document" if name.endswith(".pdf") else "image"


TEXT: Sequence[str] = ()
DOCUMENT = ("sample.pdf",)
LINK = {"link": "https://example.com/news?a=1"}
PHOTO, PHOTOS = ("sample-1.jpg",), ("sample-1.jpg", "sample-2.jpg", "sample-3.jpg")
VIDEO, LARGE = ("sample.mp4",), ("sample-large.mp4",)
PADDED_SAMPLES = {"sample-2mb.mp4": 2_200_000, "sample-5mb.mp4": 5_000_000}
"""Sizes of samples padded with an empty box, just enough for several chunks."""
VIDEO_2MB, VIDEO_5MB = (("sample-2mb.mp4",), ("sample-5mb.mp4",))
CHARTED = Track(
    post_id="7300000000000000007",
    sound_id="7221171716369631233",
    title="Track",
    artist="Artist",
    link="https://www.tiktok.com/@ann/video/7300000000000000007",
)
PRIVATE, DRAFT = {"privacy_level": "SELF_ONLY"}, {"post_mode": "MEDIA_UPLOAD"}
INBOX, STORY = {"deliver_as": "inbox"}, {"placement": "story"}
BOARD = {"default_board": True, "sections": ["5"]}


def _tiktok(kind: str, files: Sequence[str], sandbox_platform: str = "tiktok", **more: Any) -> PostCase:
    return PostCase(
        platform=Platform.TIKTOK, kind=kind, sandbox_platform=sandbox_platform, files=files, **more
    )


def _instagram(kind: str, files: Sequence[str], **more: Any) -> PostCase:
    return PostCase(platform=Platform.INSTAGRAM, kind=kind, sandbox_platform="instagram", files=files, **more)


def _facebook(kind: str, files: Sequence[str], **more: Any) -> PostCase:
    return PostCase(platform=Platform.FACEBOOK, kind=kind, sandbox_platform="facebook", files=files, **more)


def _youtube(kind: str, files: Sequence[str], **more: Any) -> PostCase:
    return PostCase(platform=Platform.YOUTUBE, kind=kind, sandbox_platform="youtube", files=files, **more)


def _pinterest(kind: str, files: Sequence[str], link: str | None = None, **options: str) -> PostCase:
    options |= {} if link is None else {"link": link}
    return PostCase(
        platform=Platform.PINTEREST,
        kind=kind,
        sandbox_platform="pinterest",
        files=files,
        options=options,
        account_options=BOARD,
        is_searched=True,
    )


def _linkedin(kind: str, files: Sequence[str], author: str, **more: Any) -> PostCase:
    return PostCase(
        platform=Platform.LINKEDIN,
        kind=kind,
        sandbox_platform="linkedin",
        files=files,
        account_options={"kind": author},
        is_searched=author == "organization",
        **more,
    )


POST_CASES: tuple[PostCase, ...] = (
    _tiktok("creator video", VIDEO),
    _tiktok("creator video", LARGE, variant="chunks"),
    _tiktok("creator photos, public", PHOTOS, is_searched=True),
    _tiktok("creator photos, not public", PHOTO, options=PRIVATE),
    _tiktok("creator draft", PHOTO, options=DRAFT),
    _tiktok("creator draft of a video", VIDEO, options=INBOX),
    _tiktok("creator draft of a video", LARGE, variant="chunks", options=INBOX),
    _tiktok("business video", VIDEO, "tiktok_business", is_searched=True),
    _tiktok(
        "business video", VIDEO, "tiktok_business", variant="with a sound", track=CHARTED, is_searched=True
    ),
    _tiktok("business photos, public", PHOTOS, "tiktok_business", is_searched=True),
    _tiktok("business photos, not public", PHOTO, "tiktok_business", options=PRIVATE),
    _tiktok("business draft", PHOTO, "tiktok_business", options=DRAFT),
    _tiktok("business draft of a video", VIDEO, "tiktok_business", options=INBOX),
    _instagram("image", PHOTO),
    _instagram("image", PHOTO, variant="facebook_login", connection="facebook_login"),
    _instagram("carousel", PHOTOS),
    _instagram("reel", VIDEO),
    _instagram(
        "reel", VIDEO, variant="bytes", connection="facebook_login", platform_options={"byte_upload": True}
    ),
    _instagram("story, image", PHOTO, options=STORY),
    _instagram("story, video", VIDEO, options=STORY),
    _instagram(
        "story, video",
        VIDEO,
        variant="bytes",
        connection="facebook_login",
        options=STORY,
        platform_options={"byte_upload": True},
    ),
    _facebook("feed post", PHOTO, variant="one photo"),
    _facebook("feed post", PHOTOS),
    _facebook("feed post", TEXT, variant="text"),
    _facebook("feed post", TEXT, variant="link", options=LINK),
    _facebook("feed post, direct", PHOTO, platform_options={"feed_mode": "direct"}, is_searched=True),
    _facebook(
        "feed post, direct",
        TEXT,
        variant="link",
        options=LINK,
        platform_options={"feed_mode": "direct"},
        is_searched=True,
    ),
    _facebook("reel", VIDEO),
    _facebook("reel", VIDEO, variant="bytes", platform_options={"byte_upload": True}),
    _facebook("video", VIDEO_2MB, hides_dimensions=True),
    _facebook("story, photo", PHOTO, options=STORY),
    _facebook("story, video", VIDEO, options=STORY),
    _facebook("story, video", VIDEO, variant="bytes", options=STORY, platform_options={"byte_upload": True}),
    _youtube("video", VIDEO),
    _youtube("video", LARGE, variant="chunks"),
    _pinterest("image, with a link", PHOTO, "https://example.com/shop?a=1"),
    _pinterest("image, without a link", PHOTO),
    _pinterest("carousel, with a link", PHOTOS, "https://example.com/shop"),
    _pinterest("carousel, without a link", PHOTOS),
    _pinterest("video, with a link", VIDEO, "https://example.com/video"),
    _pinterest("video, without a link", VIDEO),
    _pinterest("image, in a section", PHOTO, board_section_id="5"),
    _pinterest("video, in a section", VIDEO, "https://example.com/video", board_section_id="5"),
    _linkedin("image of a member", PHOTO, "person"),
    _linkedin("images of a member", PHOTOS, "person"),
    _linkedin("video of a member", VIDEO_5MB, "person"),
    _linkedin("document of a member", DOCUMENT, "person"),
    _linkedin("text of a member", TEXT, "person"),
    _linkedin("image of an organization", PHOTO, "organization"),
    _linkedin("images of an organization", PHOTOS, "organization"),
    _linkedin("video of an organization", VIDEO_5MB, "organization"),
    _linkedin("document of an organization", DOCUMENT, "organization"),
    _linkedin("text of an organization", TEXT, "organization"),
    _linkedin("text of an organization", TEXT, "organization", variant="link", options=LINK),
)


def list_runnable_cases(adapters: Mapping[Platform, type[Adapter]] = ADAPTERS) -> tuple[PostCase, ...]:
    """Return the cases whose platform has an adapter in the registry and a sandbox."""
    return tuple(s for s in POST_CASES if s.platform in adapters and s.sandbox_platform in PLATFORMS)


def make_facts(name: str, size: int, *, hides_dimensions: bool = False) -> MediaFacts:
    """Return the facts of the sandbox's samples, which adapters/sandbox/server.py creates."""
    if name.endswith(".pdf"):
        return MediaFacts(content_type="application/pdf", bytes=size, pages=3)
    if not name.endswith(".mp4"):
        return MediaFacts(content_type="image/jpeg", bytes=size, width=1080, height=1350)
    return MediaFacts(
        content_type="video/mp4",
        bytes=size,
        duration=5.0,
        codec="h264",
        fps=30.0,
        width=None if hides_dimensions else 540,
        height=None if hides_dimensions else 960,
    )
