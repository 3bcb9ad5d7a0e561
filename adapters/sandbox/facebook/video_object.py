"""A video or reel of a Page: upload, processing, publishing, and its status object.

States: uploading -> uploaded -> processing -> ready, or error; expired if not finished within a day.
"""

import asyncio
import math
from pathlib import Path

from adapters.sandbox import probe, rupload
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.clock import DAY
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import post
from adapters.sandbox.facebook.api import PLATFORM, fetch_video
from adapters.sandbox.processing import Task
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia

KIND = "facebook.video"
MAX_BYTES = 10_000_000_000
_CODECS = ("h264", "hevc", "vp9", "av1")
_EDGE_S = 0.05
_BAD_FILE = (6000, "There was a problem with your video file.")
_REEL_LIMITS = (
    ("ratio", 9 / 16 - 0.01, 9 / 16 + 0.01, (1363040, "The aspect ratio must be 9:16.")),
    (
        "width",
        540,
        math.inf,
        (1363127, "Resolution too low. A reel must have at least 540x960 pixels."),
    ),
    ("duration", 3 - _EDGE_S, 90 + _EDGE_S, (1363128, "A reel must last from 3 to 90 seconds.")),
    ("fps", 23.9, 60.0, (1363129, "The frame rate must be from 24 to 60 per second.")),
)
_FACTS = ("codec", "width", "height", "fps", "duration")
_VIDEO_STATUS = {"uploaded": "upload_complete"}


def create(call: Call, account: Record, kind: str, size: int | None = None) -> Record:
    """Create and store a video without bytes; `kind` is reel or video."""
    record: Record = {
        "key": random_digits(15, "10"),
        "account": account["remote_id"],
        "kind": kind,
        "state": "uploading",
    }
    record |= {"created": call.context.clock.now(), "received": 0, "size": size, "facts": None, "error": None}
    record |= {"title": "", "description": "", "wanted": "draft", "post": None, "published_at": None}
    return save(call.context, record | call.take_processing_faults())


def save(context: SandboxContext, record: Record) -> Record:
    """Store the record and return it."""
    context.store.put(KIND, record["key"], record)
    return record


def upload_path(context: SandboxContext, record: Record) -> Path:
    """Return the file that holds the bytes until they are examined."""
    return context.uploads / f"facebook-{record['key']}"


def is_expired(context: SandboxContext, record: Record) -> bool:
    """Return True if the upload was not finished within a day."""
    return record["state"] in ("uploading", "uploaded") and context.clock.now() >= record["created"] + DAY


async def complete_upload(context: SandboxContext, record: Record) -> None:
    """Examine the uploaded file, delete it, and set the record's facts."""
    place = upload_path(context, record)
    facts = await asyncio.to_thread(probe.read_video, place)
    place.unlink(missing_ok=True)
    set_facts(record, facts, {"sha256": None if facts is None else facts.sha256, "bytes": record["size"]})


def complete_fetch(record: Record, found: FetchedMedia, url: str) -> None:
    """Set the record's facts from media fetched from `url`."""
    record |= {"received": found.bytes, "size": found.bytes}
    set_facts(record, found.video, found.to_ledger_media(url))


def set_facts(record: Record, facts: probe.VideoFacts | None, media: Record) -> None:
    """Set the state to uploaded, the facts, and `media`, the ledger's description of the file."""
    record |= {"state": "uploaded", "media": media, "facts": None}
    if facts is not None:
        record["facts"] = {name: getattr(facts, name) for name in _FACTS}


def find_flaw(record: Record) -> tuple[int, str] | None:
    """Return error code and message of a video that cannot be used, or None."""
    facts = record["facts"] and probe.VideoFacts(**record["facts"], sha256="", bytes=0)
    limits = _REEL_LIMITS if record["kind"] == "reel" else ()
    flaw: tuple[int, str] | None = probe.find_flaw(facts, _CODECS, _BAD_FILE, limits)
    return flaw


async def _examine(_: SandboxContext, __: Record) -> None:
    return None


def _conclude(context: SandboxContext, record: Record, error: str | None) -> None:
    record |= {"state": "ready" if error is None else "error", "error": error}
    if error is None and record["wanted"] == "published":
        go_live(context, record)


TASK = Task(
    kind=KIND,
    states=("processing",),
    examine=_examine,
    fail=lambda reason: reason or "The video could not be processed.",
    conclude=_conclude,
)


async def _complete(call: Call, record: Record) -> None:
    await complete_upload(call.context, record)
    save(call.context, record)


async def _use_url(call: Call, record: Record, url: str) -> None:
    found = await fetch_video(call, url)
    if found is None:
        raise rupload.refuse("ProcessingFailedError", "The file could not be fetched from file_url")
    complete_fetch(record, found, url)
    save(call.context, record)


UPLOAD = rupload.ResumableUpload(
    find=lambda call: call.context.store.get(KIND, call.request.match_info["video"]),
    is_open=lambda context, record: record["state"] == "uploading" and not is_expired(context, record),
    size="size",
    max_bytes=MAX_BYTES,
    path=upload_path,
    save=save,
    use_url=_use_url,
    complete=_complete,
    keeps_partial=True,
    answer={"success": True},
)


def go_live(context: SandboxContext, record: Record, late: float = 0.0) -> None:
    """Publish a video that is ready; the caller stores the record."""
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None or record["post"] is not None:
        return
    shown = post.make_blank(context, account, record["kind"], record["description"])
    shown |= {"video": record["key"], "media": [record["media"]], "title": record["title"]}
    shown |= {"is_ai_generated": record["is_ai_generated"], "thumb": record.get("thumb")}
    post.publish(context, account, shown, max(late, record.get("late", 0.0)))
    record |= {"post": shown["key"], "published_at": int(context.clock.now())}


def status_to_dict(context: SandboxContext, record: Record) -> Record:
    """Return the status object of a video."""
    state = "expired" if is_expired(context, record) else record["state"]
    return {
        "video_status": _VIDEO_STATUS.get(state, state),
        "uploading_phase": {"status": _get_uploading_status(record), "bytes_transfered": record["received"]},
        "processing_phase": _processing_to_dict(record),
        "publishing_phase": _publishing_to_dict(record),
    }


def _get_uploading_status(record: Record) -> str:
    if record["state"] != "uploading":
        return "complete"
    return "in_progress" if record["received"] else "not_started"


def _processing_to_dict(record: Record) -> Record:
    match record["state"]:
        case "processing":
            return {"status": "in_progress"}
        case "ready":
            return {"status": "complete"}
        case "error":
            # As in the guide's sample: the status does not name the failure, only `error` does.
            return {"status": "not_started", "error": {"message": record["error"]}}
        case _:
            return {"status": "not_started"}


def _publishing_to_dict(record: Record) -> Record:
    if record["post"] is not None:
        publish_time = record["published_at"]
        return {"status": "complete", "publish_status": "published", "publish_time": publish_time}
    if record["state"] == "ready":
        return {"status": "not_started", "publish_status": "draft"}
    return {"status": "not_started"}
