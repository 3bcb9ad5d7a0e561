"""Reels of a Page: the start and finish phases; the bytes go to rupload."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import video_object
from adapters.sandbox.facebook.dialect import (
    DIALECT,
    PLATFORM,
    authenticate_node_writer,
    is_true,
    ok,
    quota_response,
)
from adapters.sandbox.graph_dialect import read_enum, read_parameters, refuse
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

_REELS_A_DAY = 30
_STATES = {"PUBLISHED": "published", "DRAFT": "draft"}


async def run_phase(call: Call) -> web.Response:
    """POST /{page}/video_reels with `upload_phase` start or finish."""
    account = authenticate_node_writer(call)
    given = read_parameters(call)
    match read_enum(given, "upload_phase"):
        case "START":
            return _start(call, account)
        case "FINISH":
            return await _finish(call, account, given)
        case _:
            raise refuse(100, None, "(#100) Param upload_phase must be one of {START, FINISH}")


def _start(call: Call, account: Record) -> web.Response:
    record = video_object.create(call, account, "reel")
    version = call.request.path.split("/")[2]
    place = f"{version}/{record['key']}" if version.startswith("v") else record["key"]
    url = f"http://{call.request.host}/rupload/video-upload/{place}"
    return ok({"video_id": record["key"], "upload_url": url}, account)


async def _finish(call: Call, account: Record, given: Record) -> web.Response:
    record = call.context.store.get(video_object.KIND, str(given.get("video_id") or ""))
    if record is None or record["account"] != account["remote_id"] or record["kind"] != "reel":
        raise refuse(
            100, None, "(#100) The parameter video_id is required and must name a reel of this Page."
        )
    wanted = _STATES.get(str(read_enum(given, "video_state")))
    if wanted is None:
        raise refuse(100, None, "(#100) Param video_state must be PUBLISHED or DRAFT in this sandbox.")
    if record["state"] in ("processing", "ready") and record["wanted"] == wanted:
        return ok({"success": True}, account)
    check_finishable(call, record)
    if wanted == "published":
        window = f"facebook.reels:{account['remote_id']}"
        if not call.context.rate_windows.take(window, _REELS_A_DAY, DAY):
            raise Refused(quota_response(call))
    await finish(call, record, given, wanted)
    return ok({"success": True}, account)


def check_finishable(call: Call, record: Record) -> None:
    """Raise Refused if a video is incomplete, expired, already finished, or not usable."""
    if video_object.is_expired(call.context, record):
        raise refuse(100, None, "(#100) The upload has expired.")
    if record["state"] == "uploading":
        raise refuse(6001, None, "There was a problem uploading your video: it is not complete.")
    if record["state"] in ("processing", "error") or record["post"] is not None:
        raise refuse(100, None, "(#100) The video cannot be finished any more.")
    if (flaw := video_object.find_flaw(record)) is not None:
        raise refuse(flaw.code, None, flaw.message)


async def finish(call: Call, record: Record, given: Record, wanted: str) -> None:
    """Start processing an uploaded video; it goes live when ready if `wanted` is "published"."""
    record |= {"title": str(given.get("title") or ""), "description": str(given.get("description") or "")}
    if str(given.get("is_ai_generated", "true")).lower() not in ("true", "false"):
        raise refuse(100, None, "(#100) Param is_ai_generated must be a boolean")
    record["is_ai_generated"] = is_true(given, "is_ai_generated", default=False)
    record |= {"state": "processing", "wanted": wanted, **call.take_processing_faults()}
    video_object.save(call.context, record)
    await call.context.processing.start(video_object.KIND, record)


def _get_step(call: Call) -> str:
    given = read_parameters(call)
    is_visible = (
        read_enum(given, "upload_phase") == "FINISH" and read_enum(given, "video_state") == "PUBLISHED"
    )
    return "finalize" if is_visible else "prepare"


PHASES = Endpoint(
    platform=PLATFORM, step=_get_step, handle=run_phase, dialect=DIALECT, quota_exhausted=quota_response
)
