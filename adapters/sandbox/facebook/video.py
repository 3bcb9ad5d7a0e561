"""Videos of a Page: chunked upload in phases, creation from a URL, and reads and updates of the video."""

import os

from aiohttp import web

from adapters.sandbox import graph_node, probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import post, video_object
from adapters.sandbox.facebook.dialect import (
    DIALECT,
    PLATFORM,
    authenticate_node_writer,
    authenticate_page,
    authenticate_writer,
    is_true,
    ok,
    parse_int,
    quota_response,
    select_fields,
)
from adapters.sandbox.facebook.reel import check_finishable, finish
from adapters.sandbox.graph_dialect import error_response, read_enum, read_parameters, refuse
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchFailed

_SESSION = "facebook.upload_session"
_CHUNK = 1 << 20
_WRONG_OFFSET = 1363037
_WHOLE_PULL = 256 << 20
_THUMB = 10 << 20


async def create(call: Call) -> web.Response:
    """POST /{page}/videos."""
    account = authenticate_node_writer(call)
    given = read_parameters(call)
    phase = read_enum(given, "upload_phase")
    if given.get("file_url"):
        if phase is not None:
            raise refuse(100, None, "(#100) file_url cannot be combined with upload_phase.")
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
            return ok({"success": True}, account)
        case _:
            raise refuse(100, None, "(#100) One of upload_phase and file_url is required.")


async def _create_from_url(call: Call, account: Record, given: Record) -> web.Response:
    url = str(given["file_url"])
    try:
        found = await call.context.fetcher.fetch_video(PLATFORM, url, _WHOLE_PULL)
    except FetchFailed:
        raise refuse(389, None, "Unable to fetch video file from URL.") from None
    record = video_object.create(call, account, "video")
    video_object.complete_fetch(record, found, url)
    check_finishable(call, record)
    await finish(call, record, given, _get_target_state(given))
    return ok({"id": record["key"]}, account)


def _get_target_state(given: Record) -> str:
    return "published" if is_true(given, "published", default=True) else "draft"


def _start(call: Call, account: Record, given: Record) -> web.Response:
    size = parse_int(given, "file_size")
    if size is None or not 0 < size <= video_object.MAX_BYTES:
        raise refuse(100, None, "(#100) The parameter file_size is required, at most 10 GB.")
    record = video_object.create(call, account, "video", size)
    session = random_digits(15, "13")
    call.context.store.put(_SESSION, session, {"video": record["key"]})
    body = {"video_id": record["key"], "upload_session_id": session, **_get_offsets(record)}
    return ok(body, account)


def _get_offsets(record: Record) -> Record:
    start = record["received"]
    return {"start_offset": str(start), "end_offset": str(min(start + _CHUNK, record["size"]))}


def _get_upload(call: Call, account: Record, given: Record) -> Record:
    session = call.context.store.get(_SESSION, str(given.get("upload_session_id") or ""))
    record = None if session is None else call.context.store.get(video_object.KIND, session["video"])
    if record is None or record["account"] != account["remote_id"]:
        raise refuse(100, None, "(#100) The parameter upload_session_id is required and must be known.")
    return record


def _refuse_offset(record: Record) -> Refused:
    """Return the refusal with the expected offsets; facebook-business 26.0.3 (video_uploader.py) resumes from them."""
    message = f"There was a problem uploading your video: start_offset must be {record['received']}."
    return Refused(error_response(6001, _WRONG_OFFSET, message, data=_get_offsets(record)))


async def _transfer(call: Call, account: Record, given: Record) -> web.Response:
    record = _get_upload(call, account, given)
    chunk = given.get("video_file_chunk")
    if not isinstance(chunk, bytes) or not chunk:
        raise refuse(100, None, "(#100) The file video_file_chunk is required.")
    start = record["received"]
    if parse_int(given, "start_offset") != start or record["state"] != "uploading":
        raise _refuse_offset(record)
    if len(chunk) > min(_CHUNK, record["size"] - start):
        raise refuse(6001, None, "There was a problem uploading your video: the chunk is too long.")
    descriptor = os.open(video_object.upload_path(call.context, record), os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.seek(start)
        file.write(chunk)
    record["received"] = start + len(chunk)
    if record["received"] == record["size"]:
        await video_object.complete_upload(call.context, record)
    video_object.save(call.context, record)
    return ok(_get_offsets(record), account)


async def _finish(call: Call, account: Record, given: Record) -> web.Response:
    record = _get_upload(call, account, given)
    if record["state"] in ("processing", "ready"):
        return ok({"success": True}, account)
    check_finishable(call, record)
    record["thumb"] = _read_thumb(given)
    await finish(call, record, given, _get_target_state(given))
    return ok({"success": True}, account)


def _read_thumb(given: Record) -> str | None:
    """Return the SHA-256 of the thumbnail; raises Refused unless it is an image of at most 10 MB in a form."""
    thumb = given.get("thumb")
    if thumb is None:
        return None
    image = probe.read_image(thumb) if isinstance(thumb, bytes) and len(thumb) <= _THUMB else None
    if image is None:
        raise refuse(100, None, "(#100) The file thumb must be an image of at most 10 MB.")
    return image.sha256


def _get_own(call: Call, account: Record) -> Record:
    node = graph_node.get_node_id(call.request)
    record = call.context.store.get(video_object.KIND, node)
    if record is None or record["account"] != account["remote_id"]:
        raise graph_node.unknown_node(node)
    return record


async def read(call: Call) -> web.Response:
    """GET /{video}?fields=status,published,post_id,permalink_url,created_time."""
    account = authenticate_page(call)
    record = _get_own(call, account)
    shown = None if record["post"] is None else call.context.store.get(post.KIND, record["post"])
    if (shown is not None and not post.is_readable(call, shown)) or call.take_fault(
        "late-visibility"
    ) is not None:
        raise graph_node.unknown_node(record["key"])
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
    return ok(select_fields(call, known, "description,updated_time,id"), account)


async def update(call: Call) -> web.Response:
    """POST /{video} with `published=true`: publish a video that was finished unpublished, once."""
    account = authenticate_writer(call)
    record = _get_own(call, account)
    if not is_true(read_parameters(call), "published", default=False):
        raise refuse(100, None, "(#100) Only published=true can be set here.")
    if record["state"] not in ("processing", "ready"):
        raise refuse(100, None, "(#100) The video is not finished.")
    record["wanted"] = "published"
    if record["state"] == "ready":
        video_object.go_live(call.context, record, call.take_visibility_delay())
    video_object.save(call.context, record)
    return ok({"success": True}, account)


async def delete(call: Call) -> web.Response:
    """DELETE /{video}."""
    account = authenticate_writer(call)
    record = _get_own(call, account)
    shown = None if record["post"] is None else call.context.store.get(post.KIND, record["post"])
    if shown is not None:
        call.context.store.put(post.KIND, shown["key"], shown | {"is_deleted": True})
    call.context.store.drop(video_object.KIND, record["key"])
    return ok({"success": True}, account)


def _get_step(call: Call) -> str:
    given = read_parameters(call)
    is_last = read_enum(given, "upload_phase") == "FINISH" or given.get("file_url")
    if is_last and is_true(given, "published", default=True):
        return "finalize"
    return "upload" if read_enum(given, "upload_phase") == "TRANSFER" else "prepare"


def _get_update_step(call: Call) -> str:
    return "finalize" if is_true(read_parameters(call), "published", default=False) else "prepare"


CREATE = Endpoint(
    platform=PLATFORM, step=_get_step, handle=create, dialect=DIALECT, quota_exhausted=quota_response
)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
UPDATE = Endpoint(
    platform=PLATFORM, step=_get_update_step, handle=update, dialect=DIALECT, quota_exhausted=quota_response
)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
