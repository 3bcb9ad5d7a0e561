"""Videos and reels of a Page: uploads in phases, processing, publishing and reads.

The bytes of a reel go to rupload. States: uploading -> uploaded -> processing -> ready, or error; expired if not
finished within a day.
"""

from dataclasses import asdict

from aiohttp import web

from adapters.sandbox import graph, uploads
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import Refused, fill
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import post
from adapters.sandbox.facebook.post import PLATFORM, ok, refuse
from adapters.sandbox.graph import TABLE
from adapters.sandbox.media import (
    Facts,
    VideoFacts,
    describe_file,
    find_flaw,
    probe_upload,
    read_image,
)
from adapters.sandbox.processing import Task
from adapters.sandbox.store import Record

KIND = "facebook.video"
_SESSION = "facebook.upload_session"
_MAX_BYTES = 10_000_000_000
_MAX_FETCHED_BYTES = 256 << 20
_CHUNK = 1 << 20
_THUMB = 10 << 20
_STATES = {"PUBLISHED": "published", "DRAFT": "draft"}


async def create(call: Call, account: Record) -> web.Response:
    """POST /{page}/videos."""
    given = graph.read_typed(call, "Page.create_video")
    match graph.read_enum(given, "upload_phase"):
        case "START":
            return _start(call, account, given)
        case "TRANSFER":
            return await _transfer(call, account, given)
        case "FINISH":
            return await _finish(call, account, given)
        case _:
            raise refuse("no_phase")


def _create(call: Call, account: Record, kind: str, size: int | None = None) -> Record:
    """Create and store a video without bytes; `kind` is reel or video."""
    return call.create(
        KIND, random_digits(15, "10"), account, **fill(TABLE["blank_video"], kind=kind, size=size)
    )


def _start(call: Call, account: Record, given: Record) -> web.Response:
    size = graph.parse_int(given, "file_size")
    if size is None or not 0 < size <= _MAX_BYTES:
        raise refuse("video_size")
    record = _create(call, account, "video", size)
    session = random_digits(15, "13")
    call.context.store.put(_SESSION, session, {"video": record["key"]})
    return ok({"video_id": record["key"], "upload_session_id": session, **_get_offsets(record)}, account)


def _get_offsets(record: Record) -> Record:
    start = record["received"]
    return {"start_offset": str(start), "end_offset": str(min(start + _CHUNK, record["size"]))}


def _get_upload(call: Call, account: Record, given: Record) -> Record:
    session = call.context.store.get(_SESSION, str(given.get("upload_session_id") or ""))
    return call.get_own(KIND, session and session["video"], account, "unknown_session")


def _refuse_offset(record: Record) -> Refused:
    """Return the refusal with the expected offsets; facebook-business 26.0.3 (video_uploader.py) resumes from them."""
    code, subcode, message = TABLE["wrong_offset"]
    said = message.format(record=record)
    return Refused(graph.error_response(code, subcode, said, data=_get_offsets(record)))


async def _transfer(call: Call, account: Record, given: Record) -> web.Response:
    record = _get_upload(call, account, given)
    chunk = given.get("video_file_chunk")
    if not isinstance(chunk, bytes) or not chunk:
        raise refuse("no_chunk")
    start = record["received"]
    if graph.parse_int(given, "start_offset") != start or record["state"] != "uploading":
        raise _refuse_offset(record)
    if len(chunk) > min(_CHUNK, record["size"] - start):
        raise refuse("long_chunk")
    with uploads.open_at(call.context.get_upload(record), start) as file:
        file.write(chunk)
    record["received"] = start + len(chunk)
    if record["received"] == record["size"]:
        await _complete_upload(call, record)
    call.save(KIND, record)
    return ok(_get_offsets(record), account)


async def _finish(call: Call, account: Record, given: Record) -> web.Response:
    record = _get_upload(call, account, given)
    if record["state"] not in ("processing", "ready"):
        _check_finishable(call, record)
        record["thumb"] = _read_thumb(given)
        published = graph.is_true(given, "published", default=True)
        await process(call, record, given, "published" if published else "draft")
    return ok({"success": True}, account)


def _read_thumb(given: Record) -> str | None:
    """Return the SHA-256 of the thumbnail; raises Refused unless it is an image of at most 10 MB in a form."""
    thumb = given.get("thumb")
    if thumb is None:
        return None
    image = read_image(thumb) if isinstance(thumb, bytes) and len(thumb) <= _THUMB else None
    if image is None:
        raise refuse("thumb")
    return image.sha256


async def run_reel_phase(call: Call, account: Record) -> web.Response:
    """POST /{page}/video_reels with `upload_phase` start or finish."""
    given = graph.read_typed(call, "Page.create_video_reel")
    match graph.read_enum(given, "upload_phase"):
        case "START":
            return start_upload(call, account, "reel")
        case "FINISH":
            return await _finish_reel(call, account, given)
        case _:
            raise refuse("reel_phase")


def start_upload(call: Call, account: Record, kind: str) -> web.Response:
    """Create a reel or a story without bytes, and return where they go."""
    record = _create(call, account, kind)
    url = uploads.build_url(call, "video-upload", record)
    return ok({"video_id": record["key"], "upload_url": url}, account)


async def _finish_reel(call: Call, account: Record, given: Record) -> web.Response:
    record = call.find_own(KIND, str(given.get("video_id") or ""), account)
    if record is None or record["kind"] != "reel":
        raise refuse("unknown_reel")
    requested = _STATES.get(str(graph.read_enum(given, "video_state")))
    if requested is None:
        raise refuse("video_state")
    if record["state"] in ("processing", "ready") and record["requested"] == requested:
        return ok({"success": True}, account)
    _check_finishable(call, record)
    if requested == "published":
        call.count(TABLE["limits"]["reels"], account["remote_id"])
    await process(call, record, given, requested)
    return ok({"success": True}, account)


def get_uploaded(call: Call, account: Record, given: Record, kind: str) -> Record:
    """Return the video `video_id`, ready to be finished. Raises Refused if it is not, or of another kind."""
    record = call.find_own(KIND, str(given.get("video_id") or ""), account)
    if record is None or record["kind"] != kind:
        raise refuse("unknown_reel")
    _check_finishable(call, record)
    return record


def _is_expired(context: SandboxContext, record: Record) -> bool:
    return record["state"] in ("uploading", "uploaded") and context.clock.now() >= record["created"] + DAY


def _check_finishable(call: Call, record: Record) -> None:
    """Raise Refused if a video is incomplete, expired, already finished, or not usable."""
    if _is_expired(call.context, record):
        raise refuse("expired_upload")
    if record["state"] == "uploading":
        raise refuse("incomplete")
    if record["state"] in ("processing", "error") or record["post"] is not None:
        raise refuse("finished")
    facts = record["facts"] and VideoFacts(**record["facts"])
    if (flaw := find_flaw(facts, TABLE["media"][record["kind"]])) is not None:
        raise refuse(flaw)


async def process(call: Call, record: Record, given: Record, requested: str) -> None:
    """Start processing an uploaded video; it goes live when ready if `requested` is "published"."""
    record |= {name: str(given.get(name) or "") for name in ("title", "description")}
    record["is_ai_generated"] = graph.is_true(given, "is_ai_generated", default=False)
    faults = call.take_processing_faults()
    await call.start_processing(KIND, record, state="processing", requested=requested, **faults)


async def _complete_upload(call: Call, record: Record) -> None:
    """Examine the uploaded file, delete it, and store the record with its facts."""
    place = call.context.get_upload(record)
    facts = await probe_upload(place)
    place.unlink(missing_ok=True)
    _set_facts(record, facts, describe_file(facts, record["size"]))
    call.save(KIND, record)


def _set_facts(record: Record, facts: "Facts | None", media: Record) -> None:
    """Set the state to uploaded, the facts, and `media`, the ledger's description of the file."""
    record |= {"state": "uploaded", "media": media, "facts": None if facts is None else asdict(facts)}


def _conclude(context: SandboxContext, record: Record, error: str | None) -> None:
    record |= {"state": "ready" if error is None else "error", "error": error}
    if error is None and record["requested"] == "published":
        _go_live(context, record)


TASK = Task(
    kind=KIND,
    states=("processing",),
    fail=lambda reason: reason or "The video could not be processed.",
    conclude=_conclude,
)


async def _use_url(call: Call, record: Record, url: str) -> None:
    found = await call.context.fetcher.fetch(PLATFORM, url, _MAX_FETCHED_BYTES)
    if found is None:
        raise uploads.refuse("unfetchable")
    _set_facts(record, found.facts, found.to_ledger_media(url))
    call.save(KIND, record, received=found.bytes, size=found.bytes)


UPLOAD = uploads.ResumableUpload(
    kind=KIND,
    find=lambda call: call.context.store.get(KIND, call.request.match_info["video"]),
    is_open=lambda context, record: record["state"] == "uploading" and not _is_expired(context, record),
    max_bytes=_MAX_BYTES,
    use_url=_use_url,
    complete=_complete_upload,
    keeps_partial=True,
    answer={"success": True},
)


def _go_live(context: SandboxContext, record: Record) -> None:
    """Publish a video that is ready; the caller stores the record."""
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None or record["post"] is not None:
        return
    shown = post.make_blank(account, record["kind"], record["description"])
    shown["key"] = record.get("post_key") or shown["key"]
    shown |= {"video": record["key"], "media": [record["media"]], "title": record["title"]}
    shown |= {"is_ai_generated": record["is_ai_generated"], "thumb": record.get("thumb")}
    post.publish(context, account, shown, record.get("late", 0.0))
    record |= {"post": shown["key"], "published_at": int(context.clock.now())}


def _find_post(call: Call, record: Record) -> Record | None:
    return None if record["post"] is None else call.context.store.get(post.KIND, record["post"])


async def read(call: Call, account: Record) -> web.Response:
    """GET /{video}?fields=status,published,post_id,permalink_url,created_time."""
    record = graph.get_own(call, account, KIND)
    shown = _find_post(call, record)
    is_hidden = shown is not None and not post.is_readable(call, shown)
    if is_hidden or call.take_fault("late-visibility") is not None:
        raise graph.unknown_node(record["key"])
    known = fill(
        TABLE["answers"]["video"],
        record=record,
        published=shown is not None,
        permalink=None if shown is None else post.build_permalink(shown),
        created=graph.to_time(record["created"]),
        title=record["title"] or None,
        description=record["description"] or None,
        length=(record["facts"] or {}).get("duration"),
        status=_status_to_dict(call.context, record),
    )
    return ok(graph.select_fields(call, known, "description,updated_time,id"), account)


async def delete(call: Call, account: Record) -> web.Response:
    """DELETE /{video}."""
    record = graph.get_own(call, account, KIND)
    if (shown := _find_post(call, record)) is not None:
        call.save(post.KIND, shown, is_deleted=True)
    call.context.store.drop(KIND, record["key"])
    return ok({"success": True}, account)


async def list_kind(call: Call, kind: str) -> web.Response:
    """GET /{page}/video_reels (`kind` reel) or /{page}/videos: newest first."""

    def to_row(record: Record, row: Record) -> Record:
        facts = (call.context.store.get(KIND, record["video"]) or {}).get("facts") or {}
        more = {"length": facts.get("duration"), "id": record["video"], "description": row["message"]}
        more |= {"updated_time": row["created_time"], "post_id": record["key"], "published": True}
        return row | more

    return post.list_kind(call, kind, "updated_time,description,id", to_row)


def _status_to_dict(context: SandboxContext, record: Record) -> Record:
    """Return the status object of a video."""
    state, publishing = record["state"], "live" if record["post"] is not None else record["state"]
    received = "in_progress" if record["received"] else "not_started"
    return fill(
        {
            **TABLE["answers"]["status"],
            # As in the guide's sample: the status does not name the failure, only `error` does.
            "processing_phase": TABLE["processing_phase"].get(state, TABLE["not_started"]),
            "publishing_phase": TABLE["publishing_phase"].get(publishing, TABLE["not_started"]),
        },
        record=record,
        state="expired" if _is_expired(context, record) else TABLE["video_status"].get(state, state),
        uploading=received if state == "uploading" else "complete",
    )
