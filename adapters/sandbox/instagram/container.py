"""Instagram media containers: states, media checks and processing.

States: IN_PROGRESS -> FINISHED -> PUBLISHED; ERROR; EXPIRED if not published within a day.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.sandbox import probe
from adapters.sandbox.processing import Processor
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia, FetchFailed

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

PLATFORM = "instagram"
KIND = "instagram.container"

IMAGE_BYTES = 8 << 20
VIDEO_BYTES = 300 << 20
_RATIO = (3 / 4, 1.91)  # 4:5 as documented; 3:4 since 2026-05, as third parties report
_ROUNDING = 0.01
_CODECS = ("h264", "hevc")
_FRAME_RATE = (23.0, 60.0)
_MAX_WIDTH = 1920
_REEL_S = (3.0, 900.0)
_STORY_S = (3.0, 60.0)
_EDGE_S = 0.05

UNFETCHABLE = (9004, 2207052)
IMAGE_TOO_LARGE = (36000, 2207004)
IMAGE_FORMAT = (36001, 2207005)
IMAGE_RATIO = (36003, 2207009)
VIDEO_FORMAT = (352, 2207026)
THUMB_OFFSET = (1, 2207057)

_TEXTS = {
    "FINISHED": "Finished: Media has been uploaded and it is ready to be published.",
    "IN_PROGRESS": "In Progress: Media is still being processed.",
    "PUBLISHED": "Published: Media has already been published.",
    "EXPIRED": "Expired: Media container has expired. Please create a new media container and try again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaCheck:
    """The result of checking a container's media."""

    subcode: int | None = None
    """The error subcode; None if the media is good."""
    media: tuple[Record, ...] = ()


def get_state(context: "SandboxContext", record: Record) -> str:
    """Return the container's current status_code."""
    if record["state"] != "PUBLISHED" and context.clock.now() >= record["created"] + DAY:
        return "EXPIRED"
    return str(record["state"])


def describe_status(context: "SandboxContext", record: Record) -> str:
    """Return the container's `status`: a sentence, with the subcode if it failed."""
    code = get_state(context, record)
    if code == "ERROR":
        return f"Error: Media upload has failed with error code {record['subcode']}"
    return _TEXTS[code]


def find_image_error(fetched: FetchedMedia) -> tuple[int, int] | None:
    """Return the error code and subcode of an unusable image, or None."""
    if fetched.image is None or fetched.image.format != "JPEG":
        return IMAGE_FORMAT
    if fetched.bytes > IMAGE_BYTES:
        return IMAGE_TOO_LARGE
    ratio = fetched.image.width / fetched.image.height
    return None if _RATIO[0] - _ROUNDING <= ratio <= _RATIO[1] + _ROUNDING else IMAGE_RATIO


def find_video_error(facts: probe.VideoFacts | None, record: Record) -> tuple[int, int] | None:
    """Return the error code and subcode of an unusable video, or None."""
    least, most = _STORY_S if record["kind"] == "story" else _REEL_S
    if facts is None or facts.codec not in _CODECS:
        return VIDEO_FORMAT
    if not _FRAME_RATE[0] <= facts.fps <= _FRAME_RATE[1] or facts.width > _MAX_WIDTH:
        return VIDEO_FORMAT
    if not least - _EDGE_S <= facts.duration <= most + _EDGE_S or facts.bytes > VIDEO_BYTES:
        return VIDEO_FORMAT
    offset = record["extra"].get("thumb_offset")
    return THUMB_OFFSET if offset is not None and int(offset) > facts.duration * 1000 else None


def upload_path(context: "SandboxContext", record: Record) -> Path:
    """Return the file that holds a resumable upload until it is examined."""
    return context.uploads / f"instagram-{record['key']}"


def make_processor(context: "SandboxContext") -> Processor:
    """Return the processor of containers."""

    async def examine(record: Record) -> MediaCheck:
        if "fail_reason" in record:
            return MediaCheck(subcode=_parse_subcode(record["fail_reason"]))
        return await _examine(context, record)

    return Processor(
        is_pending=lambda record: record["state"] == "IN_PROGRESS",
        examine=examine,
        conclude=lambda record, check: _conclude(context, record, check),
    )


def _parse_subcode(reason: str | None) -> int:
    return int(reason) if reason is not None and reason.isdecimal() else VIDEO_FORMAT[1]


async def _examine(context: "SandboxContext", record: Record) -> MediaCheck:
    if record["source"] in ("image", "children"):  # checked when the container was created
        return MediaCheck(media=tuple(record["media"]))
    if record["source"] == "upload":
        facts = await asyncio.to_thread(probe.read_video, upload_path(context, record))
        media: Record = {"sha256": None if facts is None else facts.sha256, "bytes": record["file_size"]}
    else:
        try:
            fetched = await context.fetcher.fetch_video(PLATFORM, record["url"], VIDEO_BYTES)
        except FetchFailed:
            return MediaCheck(subcode=UNFETCHABLE[1])
        facts, media = fetched.video, fetched.to_ledger_media(record["url"])
    fault = find_video_error(facts, record)
    return MediaCheck(subcode=None if fault is None else fault[1], media=(media,))


def _conclude(context: "SandboxContext", record: Record, check: MediaCheck) -> None:
    if record["source"] == "upload":
        upload_path(context, record).unlink(missing_ok=True)
    if check.subcode is None:
        record |= {"state": "FINISHED", "media": list(check.media)}
    else:
        record |= {"state": "ERROR", "subcode": check.subcode}
    context.store.put(KIND, record["key"], record)
