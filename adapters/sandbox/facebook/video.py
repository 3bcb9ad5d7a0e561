"""Videos and reels of a Page: uploads in phases, creation from a URL, and reads and updates of a video.

The bytes of a reel go to rupload.
"""

import os

from aiohttp import web

from adapters.sandbox import graph, probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.clock import DAY
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import api, post, video_object
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

_SESSION = "facebook.upload_session"
_CHUNK = 1 << 20
_WRONG_OFFSET = 1363037
_THUMB = 10 << 20
_REELS_A_DAY = 30
_STATES = {"PUBLISHED": "published", "DRAFT": "draft"}


async def create(call: Call) -> web.Response:
    """POST /{page}/videos."""
    account = api.authenticate_node_writer(call)
    given = graph.read_parameters(call)
    phase = graph.read_enum(given, "upload_phase")
    if given.get("file_url"):
        if phase is not None:
            raise graph.refuse(100, None, "(#100) file_url cannot be combined with upload_phase.")
        return await _create_from_url(call, account, given)
    match phase:
        case "START":
            return _start(call, account, given)
        case "TRANSFER":
            return await _transfer(call, account, given)
        case "FINISH":
            return await _finish(call, account, given)
        case "CANCEL":
            record = _get_upload(call, account, given)
            video_object.save(call.context, record | {"state": "error", "error": "The upload was cancelled."})
            return api.ok({"success": True}, account)
        case _:
            raise graph.refuse(100, None, "(#100) One of upload_phase and file_url is required.")


async def _create_from_url(call: Call, account: Record, given: Record) -> web.Response:
    url = str(given["file_url"])
    found = await api.fetch_video(call, url)
    if found is None:
        raise graph.refuse(389, None, "Unable to fetch video file from URL.")
    record = video_object.create(call, account, "video")
    video_object.complete_fetch(record, found, url)
    _check_finishable(call, record)
    await _process(call, record, given, _get_target_state(given))
    return api.ok({"id": record["key"]}, account)


def _get_target_state(given: Record) -> str:
    return "published" if graph.is_true(given, "published", default=True) else "draft"


def _start(call: Call, account: Record, given: Record) -> web.Response:
    size = api.parse_int(given, "file_size")
    if size is None or not 0 < size <= video_object.MAX_BYTES:
        raise graph.refuse(100, None, "(#100) The parameter file_size is required, at most 10 GB.")
    record = video_object.create(call, account, "video", size)
    session = random_digits(15, "13")
    call.context.store.put(_SESSION, session, {"video": record["key"]})
    body = {"video_id": record["key"], "upload_session_id": session, **_get_offsets(record)}
    return api.ok(body, account)


def _get_offsets(record: Record) -> Record:
    start = record["received"]
    return {"start_offset": str(start), "end_offset": str(min(start + _CHUNK, record["size"]))}


def _get_upload(call: Call, account: Record, given: Record) -> Record:
    session = call.context.store.get(_SESSION, str(given.get("upload_session_id") or ""))
    record = None if session is None else call.find_own(video_object.KIND, session["video"], account)
    if record is None:
        raise graph.refuse(100, None, "(#100) The parameter upload_session_id is required and must be known.")
    return record


def _refuse_offset(record: Record) -> Refused:
    """Return the refusal with the expected offsets; facebook-business 26.0.3 (video_uploader.py) resumes from them."""
    message = f"There was a problem uploading your video: start_offset must be {record['received']}."
    return Refused(graph.error_response(6001, _WRONG_OFFSET, message, data=_get_offsets(record)))


async def _transfer(call: Call, account: Record, given: Record) -> web.Response:
    record = _get_upload(call, account, given)
    chunk = given.get("video_file_chunk")
    if not isinstance(chunk, bytes) or not chunk:
        raise graph.refuse(100, None, "(#100) The file video_file_chunk is required.")
    start = record["received"]
    if api.parse_int(given, "start_offset") != start or record["state"] != "uploading":
        raise _refuse_offset(record)
    if len(chunk) > min(_CHUNK, record["size"] - start):
        raise graph.refuse(6001, None, "There was a problem uploading your video: the chunk is too long.")
    descriptor = os.open(video_object.upload_path(call.context, record), os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.seek(start)
        file.write(chunk)
    record["received"] = start + len(chunk)
    if record["received"] == record["size"]:
        await video_object.complete_upload(call.context, record)
    video_object.save(call.context, record)
    return api.ok(_get_offsets(record), account)


async def _finish(call: Call, account: Record, given: Record) -> web.Response:
    record = _get_upload(call, account, given)
    if record["state"] in ("processing", "ready"):
        return api.ok({"success": True}, account)
    _check_finishable(call, record)
    record["thumb"] = _read_thumb(given)
    await _process(call, record, given, _get_target_state(given))
    return api.ok({"success": True}, account)


def _read_thumb(given: Record) -> str | None:
    """Return the SHA-256 of the thumbnail; raises Refused unless it is an image of at most 10 MB in a form."""
    thumb = given.get("thumb")
    if thumb is None:
        return None
    image = probe.read_image(thumb) if isinstance(thumb, bytes) and len(thumb) <= _THUMB else None
    if image is None:
        raise graph.refuse(100, None, "(#100) The file thumb must be an image of at most 10 MB.")
    return image.sha256


async def read(call: Call) -> web.Response:
    """GET /{video}?fields=status,published,post_id,permalink_url,created_time."""
    account = api.authenticate_page(call)
    record = api.get_own(call, account, video_object.KIND)
    shown = None if record["post"] is None else call.context.store.get(post.KIND, record["post"])
    if (shown is not None and not post.is_readable(call, shown)) or call.take_fault(
        "late-visibility"
    ) is not None:
        raise graph.unknown_node(record["key"])
    known: Record = {
        "id": record["key"],
        "status": video_object.status_to_dict(call.context, record),
        "published": shown is not None,
        "post_id": record["post"],
        "permalink_url": None if shown is None else post.build_permalink(shown),
        "created_time": to_iso(record["created"])[:19] + "+0000",
        "updated_time": to_iso(record["created"])[:19] + "+0000",
        "title": record["title"] or None,
        "description": record["description"] or None,
        "length": (record["facts"] or {}).get("duration"),
        "from": {"id": record["account"]},
    }
    return api.ok(api.select_fields(call, known, "description,updated_time,id"), account)


async def update(call: Call) -> web.Response:
    """POST /{video} with `published=true`: publish a video that was finished unpublished, once."""
    account = api.authenticate_writer(call)
    record = api.get_own(call, account, video_object.KIND)
    if not graph.is_true(graph.read_parameters(call), "published", default=False):
        raise graph.refuse(100, None, "(#100) Only published=true can be set here.")
    if record["state"] not in ("processing", "ready"):
        raise graph.refuse(100, None, "(#100) The video is not finished.")
    record["wanted"] = "published"
    if record["state"] == "ready":
        video_object.go_live(call.context, record, call.take_visibility_delay())
    video_object.save(call.context, record)
    return api.ok({"success": True}, account)


async def delete(call: Call) -> web.Response:
    """DELETE /{video}."""
    account = api.authenticate_writer(call)
    record = api.get_own(call, account, video_object.KIND)
    shown = None if record["post"] is None else call.context.store.get(post.KIND, record["post"])
    if shown is not None:
        call.context.store.put(post.KIND, shown["key"], shown | {"is_deleted": True})
    call.context.store.drop(video_object.KIND, record["key"])
    return api.ok({"success": True}, account)


async def run_reel_phase(call: Call) -> web.Response:
    """POST /{page}/video_reels with `upload_phase` start or finish."""
    account = api.authenticate_node_writer(call)
    given = graph.read_parameters(call)
    match graph.read_enum(given, "upload_phase"):
        case "START":
            return _start_reel(call, account)
        case "FINISH":
            return await _finish_reel(call, account, given)
        case _:
            raise graph.refuse(100, None, "(#100) Param upload_phase must be one of {START, FINISH}")


def _start_reel(call: Call, account: Record) -> web.Response:
    record = video_object.create(call, account, "reel")
    version = call.request.path.split("/")[2]
    place = f"{version}/{record['key']}" if version.startswith("v") else record["key"]
    url = f"http://{call.request.host}/rupload/video-upload/{place}"
    return api.ok({"video_id": record["key"], "upload_url": url}, account)


async def _finish_reel(call: Call, account: Record, given: Record) -> web.Response:
    record = call.find_own(video_object.KIND, str(given.get("video_id") or ""), account)
    if record is None or record["kind"] != "reel":
        raise graph.refuse(
            100, None, "(#100) The parameter video_id is required and must name a reel of this Page."
        )
    wanted = _STATES.get(str(graph.read_enum(given, "video_state")))
    if wanted is None:
        raise graph.refuse(100, None, "(#100) Param video_state must be PUBLISHED or DRAFT in this sandbox.")
    if record["state"] in ("processing", "ready") and record["wanted"] == wanted:
        return api.ok({"success": True}, account)
    _check_finishable(call, record)
    if wanted == "published":
        window = f"facebook.reels:{account['remote_id']}"
        if not call.context.rate_windows.take(window, _REELS_A_DAY, DAY):
            raise Refused(api.quota_response(call))
    await _process(call, record, given, wanted)
    return api.ok({"success": True}, account)


def _check_finishable(call: Call, record: Record) -> None:
    """Raise Refused if a video is incomplete, expired, already finished, or not usable."""
    if video_object.is_expired(call.context, record):
        raise graph.refuse(100, None, "(#100) The upload has expired.")
    if record["state"] == "uploading":
        raise graph.refuse(6001, None, "There was a problem uploading your video: it is not complete.")
    if record["state"] in ("processing", "error") or record["post"] is not None:
        raise graph.refuse(100, None, "(#100) The video cannot be finished any more.")
    if (flaw := video_object.find_flaw(record)) is not None:
        raise graph.refuse(flaw[0], None, flaw[1])


async def _process(call: Call, record: Record, given: Record, wanted: str) -> None:
    """Start processing an uploaded video; it goes live when ready if `wanted` is "published"."""
    record |= {"title": str(given.get("title") or ""), "description": str(given.get("description") or "")}
    if str(given.get("is_ai_generated", "true")).lower() not in ("true", "false"):
        raise graph.refuse(100, None, "(#100) Param is_ai_generated must be a boolean")
    record["is_ai_generated"] = graph.is_true(given, "is_ai_generated", default=False)
    record |= {"state": "processing", "wanted": wanted, **call.take_processing_faults()}
    video_object.save(call.context, record)
    await call.context.processing.start(video_object.KIND, record)


def get_create_step(call: Call) -> str:
    """Return the step of POST /{page}/videos: the request that publishes is `finalize`."""
    given = graph.read_parameters(call)
    is_last = graph.read_enum(given, "upload_phase") == "FINISH" or given.get("file_url")
    if is_last and graph.is_true(given, "published", default=True):
        return "finalize"
    return "upload" if graph.read_enum(given, "upload_phase") == "TRANSFER" else "prepare"


def get_reel_step(call: Call) -> str:
    """Return the step of POST /{page}/video_reels: the finish as PUBLISHED is `finalize`."""
    given = graph.read_parameters(call)
    is_visible = (
        graph.read_enum(given, "upload_phase") == "FINISH"
        and graph.read_enum(given, "video_state") == "PUBLISHED"
    )
    return "finalize" if is_visible else "prepare"
