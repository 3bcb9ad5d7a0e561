"""TikTok's checks of received media, shared by its two products.

Limits: Content Posting API media transfer guide and the Business "publish" pages, read 2026-11-24.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.sandbox.probe import VideoFacts
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia, FetchFailed

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_CODECS = ("h264", "hevc", "vp8", "vp9")
_FRAME_RATE = (23.0, 60.0)
_SIDE = (360, 4096)
PHOTO_FORMATS = ("JPEG", "WEBP")
THUMBNAIL_FORMATS = (*PHOTO_FORMATS, "PNG")
_IMAGE_BYTES = 20 << 20
_IMAGE_SIDES = (1080, 1920)
"""Limits of the short and the long side, in pixels."""
_ROUNDING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaCheck:
    """The result of the checks."""

    reason: str = ""
    """TikTok's fail_reason; empty if the media is accepted."""
    media: tuple[Record, ...] = ()
    """The media as ledger entries name it."""
    bytes: int = 0


def count_utf16_units(text: str) -> int:
    """Return the length in UTF-16 code units, as TikTok counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def find_video_fail_reason(facts: VideoFacts | None, max_seconds: float) -> str:
    """Return the fail_reason of a video, empty if it is accepted. `max_seconds`: length limit."""
    if facts is None or facts.codec not in _CODECS:
        return "file_format_check_failed"
    if facts.duration > max_seconds + _ROUNDING:
        return "duration_check_failed"
    if not _FRAME_RATE[0] <= facts.fps <= _FRAME_RATE[1]:
        return "frame_rate_check_failed"
    if not all(_SIDE[0] <= side <= _SIDE[1] for side in (facts.width, facts.height)):
        return "picture_size_check_failed"
    return ""


async def check_video(
    context: "SandboxContext", platform: str, url: str, *, max_bytes: int, max_seconds: float
) -> MediaCheck:
    """Fetch and check a video."""
    try:
        fetched = await context.fetcher.fetch_video(platform, url, max_bytes)
    except FetchFailed:
        return MediaCheck(reason="video_pull_failed")
    reason = (
        "file_format_check_failed"
        if fetched.bytes > max_bytes
        else find_video_fail_reason(fetched.video, max_seconds)
    )
    return MediaCheck(reason=reason, media=(fetched.to_ledger_media(url),), bytes=fetched.bytes)


async def check_images(
    context: "SandboxContext", platform: str, urls: list[str], formats: tuple[str, ...] = PHOTO_FORMATS
) -> MediaCheck:
    """Fetch and check the images of a post; the first bad one decides."""
    media, size = [], 0
    for url in urls:
        try:
            fetched = await context.fetcher.fetch_image(platform, url, _IMAGE_BYTES)
        except FetchFailed:
            return MediaCheck(reason="photo_pull_failed", bytes=size)
        size += fetched.bytes
        if reason := _find_image_fail_reason(fetched, formats):
            return MediaCheck(reason=reason, bytes=size)
        media.append(fetched.to_ledger_media(url))
    return MediaCheck(media=tuple(media), bytes=size)


def _find_image_fail_reason(fetched: FetchedMedia, formats: tuple[str, ...]) -> str:
    if fetched.image is None or fetched.image.format not in formats:
        return "file_format_check_failed"
    short, long = sorted((fetched.image.width, fetched.image.height))
    if fetched.bytes > _IMAGE_BYTES or short > _IMAGE_SIDES[0] or long > _IMAGE_SIDES[1]:
        return "picture_size_check_failed"
    return ""
