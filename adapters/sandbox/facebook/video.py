"""Videos of the Facebook stand-in: the phases start, transfer, finish; or one call with a URL; and their node."""

import os

from aiohttp import web

from adapters.sandbox import graph_node
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import post
from adapters.sandbox.facebook import video_object as film
from adapters.sandbox.facebook.dialect import (
    DIALECT,
    PLATFORM,
    chosen,
    exhausted,
    is_true,
    number,
    ok,
    page,
    writable_page,
    writer,
)
from adapters.sandbox.facebook.reel import check_finishable, finish
from adapters.sandbox.graph_dialect import arguments, error_response, refuse
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchFailed

_SESSION = "facebook.upload_session"
_CHUNK = 1 << 20
_WRONG_OFFSET = 1363037
_WHOLE_PULL = 256 << 20


async def create(call: Call) -> web.Response:
    """POST /{page}/videos."""
    account = writable_page(call)
    given = arguments(call)
    phase = given.get("upload_phase")
    if given.get("file_url"):
        if phase is not None:
            raise refuse(100, None, "(#100) file_url cannot be combined with upload_phase.")
        return await _by_url(call, account, given)
    match phase:
        case "start":
            return _start(call, account, given)
        case "transfer":
            return await _transfer(call, account, given)
        case "finish":
            return await _finish(call, account, given)
        case "cancel":
            record = _uploading(call, account, given)
            film.keep(call.context, record | {"state": "error", "error": "The upload was cancelled."})
            return ok({"success": True}, account)
        case _:
            raise refuse(100, None, "(#100) One of upload_phase and file_url is required.")


async def _by_url(call: Call, account: Record, given: Record) -> web.Response:
    url = str(given["file_url"])
    try:
        found = await call.context.fetcher.fetch_video(PLATFORM, url, _WHOLE_PULL)
    except FetchFailed:
        raise refuse(389, None, "Unable to fetch video file from URL.") from None
    record = film.new(call, account, "video")
    film.pulled(record, found, url)
    check_finishable(call, record)
    await finish(call, record, given, _wanted(given))
    return ok({"id": record["key"]}, account)


def _wanted(given: Record) -> str:
    return "published" if is_true(given, "published", otherwise=True) else "draft"


def _start(call: Call, account: Record, given: Record) -> web.Response:
    size = number(given, "file_size")
    if size is None or not 0 < size <= film.MOST_BYTES:
        raise refuse(100, None, "(#100) The parameter file_size is required, at most 10 GB.")
    record = film.new(call, account, "video", size)
    session = random_digits(15, "13")
    call.context.store.put(_SESSION, session, {"video": record["key"]})
    answer = {"video_id": record["key"], "upload_session_id": session, **_offsets(record)}
    return ok(answer, account)


def _offsets(record: Record) -> Record:
    start = record["received"]
    return {"start_offset": str(start), "end_offset": str(min(start + _CHUNK, record["size"]))}


def _uploading(call: Call, account: Record, given: Record) -> Record:
    session = call.context.store.get(_SESSION, str(given.get("upload_session_id") or ""))
    record = None if session is None else call.context.store.get(film.KIND, session["video"])
    if record is None or record["account"] != account["remote_id"]:
        raise refuse(100, None, "(#100) The parameter upload_session_id is required and must be known.")
    return record


def _wrong_offset(record: Record) -> Refused:
    """Names the offsets that are wanted: facebook-business 26.0.3, video_uploader.py goes on from just these."""
    message = f"There was a problem uploading your video: start_offset must be {record['received']}."
    return Refused(error_response(6001, _WRONG_OFFSET, message, data=_offsets(record)))


async def _transfer(call: Call, account: Record, given: Record) -> web.Response:
    record = _uploading(call, account, given)
    chunk = given.get("video_file_chunk")
    if not isinstance(chunk, bytes) or not chunk:
        raise refuse(100, None, "(#100) The file video_file_chunk is required.")
    start = record["received"]
    if number(given, "start_offset") != start or record["state"] != "uploading":
        raise _wrong_offset(record)
    if len(chunk) > min(_CHUNK, record["size"] - start):
        raise refuse(6001, None, "There was a problem uploading your video: the chunk is too long.")
    descriptor = os.open(film.path(call.context, record), os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.seek(start)
        file.write(chunk)
    record["received"] = start + len(chunk)
    if record["received"] == record["size"]:
        await film.received(call.context, record)
    film.keep(call.context, record)
    return ok(_offsets(record), account)


async def _finish(call: Call, account: Record, given: Record) -> web.Response:
    record = _uploading(call, account, given)
    if record["state"] in ("processing", "ready"):
        return ok({"success": True}, account)
    check_finishable(call, record)
    await finish(call, record, given, _wanted(given))
    return ok({"success": True}, account)


def _own(call: Call, account: Record) -> Record:
    node = graph_node.get_node_id(call.request)
    record = call.context.store.get(film.KIND, node)
    if record is None or record["account"] != account["remote_id"]:
        raise graph_node.unknown_node(node)
    return record


async def read(call: Call) -> web.Response:
    """GET /{video}?fields=status,published,post_id,permalink_url,created_time."""
    account = page(call)
    record = _own(call, account)
    shown = None if record["post"] is None else call.context.store.get(post.KIND, record["post"])
    if (shown is not None and not post.is_readable(call, shown)) or call.take_fault(
        "late-visibility"
    ) is not None:
        raise graph_node.unknown_node(record["key"])
    known: Record = {
        "id": record["key"],
        "status": film.status(call.context, record),
        "published": shown is not None,
        "post_id": record["post"],
        "permalink_url": None if shown is None else post.permalink(shown),
        "created_time": to_iso(record["created"])[:19] + "+0000",
        "updated_time": to_iso(record["created"])[:19] + "+0000",
        "title": record["title"] or None,
        "description": record["description"] or None,
        "length": (record["facts"] or {}).get("duration"),
        "from": {"id": record["account"]},
    }
    return ok(chosen(call, known, "description,updated_time,id"), account)


async def update(call: Call) -> web.Response:
    """POST /{video} with `published=true`: shows a video that was finished unpublished, once."""
    account = writer(call)
    record = _own(call, account)
    if not is_true(arguments(call), "published", otherwise=False):
        raise refuse(100, None, "(#100) Only published=true can be set here.")
    if record["state"] not in ("processing", "ready"):
        raise refuse(100, None, "(#100) The video is not finished.")
    record["wanted"] = "published"
    if record["state"] == "ready":
        film.go_live(call.context, record, call.take_visibility_delay())
    film.keep(call.context, record)
    return ok({"success": True}, account)


async def delete(call: Call) -> web.Response:
    """DELETE /{video}."""
    account = writer(call)
    record = _own(call, account)
    shown = None if record["post"] is None else call.context.store.get(post.KIND, record["post"])
    if shown is not None:
        call.context.store.put(post.KIND, shown["key"], shown | {"is_deleted": True})
    call.context.store.drop(film.KIND, record["key"])
    return ok({"success": True}, account)


def _step(call: Call) -> str:
    given = arguments(call)
    is_last = given.get("upload_phase") == "finish" or given.get("file_url")
    if is_last and is_true(given, "published", otherwise=True):
        return "finalize"
    return "upload" if given.get("upload_phase") == "transfer" else "prepare"


def _update_step(call: Call) -> str:
    return "finalize" if is_true(arguments(call), "published", otherwise=False) else "prepare"


CREATE = Endpoint(platform=PLATFORM, step=_step, handle=create, dialect=DIALECT, quota_exhausted=exhausted)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
UPDATE = Endpoint(
    platform=PLATFORM, step=_update_step, handle=update, dialect=DIALECT, quota_exhausted=exhausted
)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
