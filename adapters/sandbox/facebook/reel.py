"""Reels of the Facebook stand-in: start, bytes by rupload, finish."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import video_object as film
from adapters.sandbox.facebook.dialect import DIALECT, PLATFORM, exhausted, ok, writable_page
from adapters.sandbox.graph_dialect import arguments, refuse
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

_REELS_A_DAY = 30
_STATES = {"PUBLISHED": "published", "DRAFT": "draft"}


async def phases(call: Call) -> web.Response:
    """POST /{page}/video_reels with `upload_phase` start or finish."""
    account = writable_page(call)
    given = arguments(call)
    match given.get("upload_phase"):
        case "start":
            return _start(call, account)
        case "finish":
            return await _finish(call, account, given)
        case _:
            raise refuse(100, None, "(#100) Param upload_phase must be one of {START, FINISH}")


def _start(call: Call, account: Record) -> web.Response:
    record = film.new(call, account, "reel")
    version = call.request.path.split("/")[2]
    place = f"{version}/{record['key']}" if version.startswith("v") else record["key"]
    url = f"http://{call.request.host}/rupload/video-upload/{place}"
    return ok({"video_id": record["key"], "upload_url": url}, account)


async def _finish(call: Call, account: Record, given: Record) -> web.Response:
    record = call.context.store.get(film.KIND, str(given.get("video_id") or ""))
    if record is None or record["account"] != account["remote_id"] or record["kind"] != "reel":
        raise refuse(
            100, None, "(#100) The parameter video_id is required and must name a reel of this Page."
        )
    wanted = _STATES.get(str(given.get("video_state")))
    if wanted is None:
        raise refuse(100, None, "(#100) Param video_state must be PUBLISHED or DRAFT in this sandbox.")
    if record["state"] in ("processing", "ready") and record["wanted"] == wanted:
        return ok({"success": True}, account)
    check_finishable(call, record)
    if wanted == "published":
        window = f"facebook.reels:{account['remote_id']}"
        if not call.context.rate_windows.take(window, _REELS_A_DAY, DAY):
            raise Refused(exhausted(call))
    await finish(call, record, given, wanted)
    return ok({"success": True}, account)


def check_finishable(call: Call, record: Record) -> None:
    """Refuse to finish a video that has not all its bytes, or the wrong ones."""
    if film.is_expired(call.context, record):
        raise refuse(100, None, "(#100) The upload has expired.")
    if record["state"] == "uploading":
        raise refuse(6001, None, "There was a problem uploading your video: it is not complete.")
    if record["state"] in ("processing", "error") or record["post"] is not None:
        raise refuse(100, None, "(#100) The video cannot be finished any more.")
    if (flaw := film.flaw(record)) is not None:
        raise refuse(flaw.code, None, flaw.sentence)


async def finish(call: Call, record: Record, given: Record, wanted: str) -> None:
    """Everything is there: work on it, and show it if that is `wanted`."""
    record |= {"title": str(given.get("title") or ""), "description": str(given.get("description") or "")}
    record |= {"state": "processing", "wanted": wanted, **call.take_processing_faults()}
    film.keep(call.context, record)
    await call.context.processing.start(film.KIND, record)


def _step(call: Call) -> str:
    given = arguments(call)
    is_visible = given.get("upload_phase") == "finish" and given.get("video_state") == "PUBLISHED"
    return "finalize" if is_visible else "prepare"


PHASES = Endpoint(platform=PLATFORM, step=_step, handle=phases, dialect=DIALECT, quota_exhausted=exhausted)
