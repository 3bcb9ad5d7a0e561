"""Instagram media containers: states, uploads, media checks and processing.

States: IN_PROGRESS -> FINISHED -> PUBLISHED; ERROR; EXPIRED if not published within a day.
"""

import asyncio
from pathlib import Path

from adapters.sandbox import probe
from adapters.sandbox.clock import DAY
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Outcome, Task
from adapters.sandbox.rupload import ResumableUpload
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia
from adapters.sandbox.vendor_table import load_table

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

TABLE = load_table(PLATFORM)


def get_state(context: SandboxContext, record: Record) -> str:
    """Return the container's current status_code."""
    if record["state"] != "PUBLISHED" and context.clock.now() >= record["created"] + DAY:
        return "EXPIRED"
    return str(record["state"])


def describe_status(context: SandboxContext, record: Record) -> str:
    """Return the container's `status`: a sentence, with the subcode if it failed."""
    code = get_state(context, record)
    if code == "ERROR":
        return f"Error: Media upload has failed with error code {record['subcode']}"
    return str(TABLE["texts"][code])


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
    limits = (
        ("fps", *_FRAME_RATE, VIDEO_FORMAT),
        ("width", 0, _MAX_WIDTH, VIDEO_FORMAT),
        ("duration", least - _EDGE_S, most + _EDGE_S, VIDEO_FORMAT),
        ("bytes", 0, VIDEO_BYTES, VIDEO_FORMAT),
    )
    flaw: tuple[int, int] | None = probe.find_flaw(facts, _CODECS, VIDEO_FORMAT, limits)
    if flaw is not None or facts is None:
        return flaw
    offset = record["extra"].get("thumb_offset")
    return THUMB_OFFSET if offset is not None and int(offset) > facts.duration * 1000 else None


def upload_path(context: SandboxContext, record: Record) -> Path:
    """Return the file that holds a resumable upload until it is examined."""
    return context.uploads / f"instagram-{record['key']}"


def _parse_subcode(reason: str | None) -> int:
    return int(reason) if reason is not None and reason.isdecimal() else VIDEO_FORMAT[1]


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    if record["source"] in ("image", "children"):  # checked when the container was created
        return Outcome(media=tuple(record["media"]))
    if record["source"] == "upload":
        facts = await asyncio.to_thread(probe.read_video, upload_path(context, record))
        media: Record = {"sha256": None if facts is None else facts.sha256, "bytes": record["file_size"]}
    else:
        fetched = await context.fetcher.fetch_video(PLATFORM, record["url"], VIDEO_BYTES)
        if fetched is None:
            return Outcome(error=UNFETCHABLE[1])
        facts, media = fetched.video, fetched.to_ledger_media(record["url"])
    fault = find_video_error(facts, record)
    return Outcome(error=None if fault is None else fault[1], media=(media,))


def _conclude(_: SandboxContext, record: Record, outcome: Outcome) -> None:
    if outcome.error is None:
        record |= {"state": "FINISHED", "media": list(outcome.media)}
    else:
        record |= {"state": "ERROR", "subcode": outcome.error}


TASK = Task(
    kind=KIND,
    states=("IN_PROGRESS",),
    examine=_examine,
    fail=lambda reason: Outcome(error=_parse_subcode(reason)),
    conclude=_conclude,
    file=upload_path,
)


async def _use_url(call: Call, record: Record, url: str) -> None:
    record |= {"source": "video", "url": url, "file_size": None}
    await _start(call, record)


async def _start(call: Call, record: Record) -> None:
    call.context.store.put(KIND, record["key"], record)
    await call.context.processing.start(KIND, record)


def _find_upload(call: Call) -> Record | None:
    record = call.context.store.get(KIND, call.request.match_info["container"])
    return None if record is None or record["source"] != "upload" else record


UPLOAD = ResumableUpload(
    find=_find_upload,
    is_open=lambda context, record: (
        get_state(context, record) == "IN_PROGRESS" and record["received"] != record["file_size"]
    ),
    size="file_size",
    max_bytes=VIDEO_BYTES,
    path=upload_path,
    save=lambda context, record: context.store.put(KIND, record["key"], record),
    use_url=_use_url,
    complete=_start,
    keeps_partial=False,
    answer={"success": True, "message": "Upload successful."},
)
