"""What TikTok makes of media it has received: the same checks behind both of its products.

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
_PICTURE_BYTES = 20 << 20
_PICTURE_SIDES = (1080, 1920)
"""Short side and long side at most."""
_ROUNDING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the check ended."""

    reason: str = ""
    """TikTok's fail_reason; empty when the media is good."""
    media: tuple[Record, ...] = ()
    """As the ledger names it."""
    bytes: int = 0


def utf16_units(text: str) -> int:
    """Length as TikTok counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def film_reason(facts: VideoFacts | None, longest: float) -> str:
    """Why a film of these facts fails; empty when it is good. `longest`: seconds."""
    if facts is None or facts.codec not in _CODECS:
        return "file_format_check_failed"
    if facts.duration > longest + _ROUNDING:
        return "duration_check_failed"
    if not _FRAME_RATE[0] <= facts.fps <= _FRAME_RATE[1]:
        return "frame_rate_check_failed"
    if not all(_SIDE[0] <= side <= _SIDE[1] for side in (facts.width, facts.height)):
        return "picture_size_check_failed"
    return ""


async def check_film(
    context: "SandboxContext", platform: str, url: str, *, most: int, longest: float
) -> Verdict:
    """Fetch and check a film."""
    try:
        pulled = await context.fetcher.fetch_video(platform, url, most)
    except FetchFailed:
        return Verdict(reason="video_pull_failed")
    reason = "file_format_check_failed" if pulled.bytes > most else film_reason(pulled.video, longest)
    return Verdict(reason=reason, media=(pulled.to_ledger_media(url),), bytes=pulled.bytes)


async def check_pictures(
    context: "SandboxContext", platform: str, urls: list[str], formats: tuple[str, ...] = PHOTO_FORMATS
) -> Verdict:
    """Fetch and check the pictures of a post; the first bad one decides."""
    media, size = [], 0
    for url in urls:
        try:
            pulled = await context.fetcher.fetch_image(platform, url, _PICTURE_BYTES)
        except FetchFailed:
            return Verdict(reason="photo_pull_failed", bytes=size)
        size += pulled.bytes
        if reason := _picture_reason(pulled, formats):
            return Verdict(reason=reason, bytes=size)
        media.append(pulled.to_ledger_media(url))
    return Verdict(media=tuple(media), bytes=size)


def _picture_reason(pulled: FetchedMedia, formats: tuple[str, ...]) -> str:
    if pulled.image is None or pulled.image.format not in formats:
        return "file_format_check_failed"
    short, long = sorted((pulled.image.width, pulled.image.height))
    if pulled.bytes > _PICTURE_BYTES or short > _PICTURE_SIDES[0] or long > _PICTURE_SIDES[1]:
        return "picture_size_check_failed"
    return ""
