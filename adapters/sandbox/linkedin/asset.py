"""Images and videos of the LinkedIn stand-in: a place to send bytes to, the bytes, and what became of them.

States: WAITING_UPLOAD -> PROCESSING -> AVAILABLE or PROCESSING_FAILED.
"""

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.linkedin.dialect import (
    DIALECT,
    PLATFORM,
    READ_ORGANIZATION,
    WRITE,
    acting,
    denied,
    limited,
    may,
    member,
    ok,
    refuse,
    token,
    urn_of,
)
from adapters.sandbox.processing import Processor
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

KIND = "linkedin.asset"
PART = 4_194_304
_VIDEO_BYTES = (75_000, 500_000_000)
_VIDEO_S = (3.0, 1800.0)
_EDGE_S = 0.05
_IMAGE_FORMATS = ("JPEG", "PNG", "GIF")
_PIXELS_MOST = 36_152_320


async def images(call: Call) -> web.Response:
    """POST /rest/images?action=initializeUpload."""
    given = _asked(call, "initializeUpload", "initializeUploadRequest")
    owner = acting(call, given.get("owner"), "owner")
    record = _new(call, owner, f"urn:li:image:C4E10AQ{secrets.token_urlsafe(12)}", "image")
    value = {"uploadUrlExpiresAt": _ends(record), "uploadUrl": _url(call, record, 0), "image": record["key"]}
    return ok({"value": value})


async def videos(call: Call) -> web.Response:
    """POST /rest/videos?action=initializeUpload or finalizeUpload."""
    if call.request.query.get("action") == "finalizeUpload":
        return await _finalize(call)
    given = _asked(call, "initializeUpload", "initializeUploadRequest")
    owner = acting(call, given.get("owner"), "owner")
    size = given.get("fileSizeBytes")
    if not isinstance(size, int) or not _VIDEO_BYTES[0] <= size <= _VIDEO_BYTES[1]:
        raise refuse("INVALID_VALUE_FOR_FIELD", "fileSizeBytes must be from 75 KB to 500 MB")
    record = _new(call, owner, f"urn:li:video:C5F10AQ{secrets.token_urlsafe(12)}", "video")
    record |= {"size": size, "etags": {}, "token": ""}
    parts = [
        {"uploadUrl": _url(call, record, number), "firstByte": first, "lastByte": min(first + PART, size) - 1}
        for number, first in enumerate(range(0, size, PART))
    ]
    value = {"uploadUrlsExpireAt": _ends(record), "video": record["key"], "uploadInstructions": parts}
    return ok({"value": value | {"uploadToken": record["token"]}})


def _asked(call: Call, action: str, name: str) -> Record:
    member(call)
    if call.request.query.get("action") != action:
        raise refuse("ILLEGAL_ARGUMENT", f"The parameter action must be {action}")
    given = call.json().get(name)
    if not isinstance(given, dict):
        raise refuse("MISSING_FIELD", f"Field {name} is required")
    return given


def _new(call: Call, owner: Record, urn: str, kind: str) -> Record:
    record: Record = {"key": urn, "account": owner["remote_id"], "kind": kind, "state": "WAITING_UPLOAD"}
    record |= {"created": call.context.clock.now(), "place": secrets.token_urlsafe(18), "media": None}
    record |= call.take_processing_faults()
    call.context.store.put(KIND, urn, record)
    call.context.store.put("linkedin.place", record["place"], {"asset": urn})
    return record


def _ends(record: Record) -> int:
    return int((record["created"] + DAY) * 1000)


def _url(call: Call, record: Record, number: int) -> str:
    return f"http://{call.request.host}/linkedin/dms-uploads/{record['place']}/{number}?ca=vector&cn=uploads"


def path(context: "SandboxContext", record: Record) -> Path:
    """Where the bytes are kept until they are looked at."""
    return context.uploads / f"linkedin-{record['place']}"


async def _finalize(call: Call) -> web.Response:
    given = _asked(call, "finalizeUpload", "finalizeUploadRequest")
    record = call.context.store.get(KIND, str(given.get("video")))
    if record is None or record["kind"] != "video":
        raise refuse("INVALID_URN_ID", "Field video: there is no such video")
    acting(call, record["account"], "video")
    expected = [record["etags"].get(str(number)) for number in range(-(-record["size"] // PART))]
    sent = given.get("uploadedPartIds")
    ids = [str(part).strip('"') for part in sent] if isinstance(sent, list) else None
    if None in expected or ids != expected:
        raise refuse("INVALID_VALUE_FOR_FIELD", "uploadedPartIds must name every part, in its order")
    if given.get("uploadToken") != record["token"]:
        raise refuse("INVALID_VALUE_FOR_FIELD", "uploadToken is not the one that was given out")
    if record["state"] == "WAITING_UPLOAD":
        await process(call, record)
    return web.Response(status=200)


async def process(call: Call, record: Record) -> None:
    """All bytes are there: work on them."""
    record |= {"state": "PROCESSING", **call.take_processing_faults()}
    call.context.store.put(KIND, record["key"], record)
    await call.context.processing.start(KIND, record)


def make_processor(context: "SandboxContext") -> Processor:
    """How assets are worked on."""

    async def examine(record: Record) -> Record | None:
        place = path(context, record)
        if "fail_reason" in record or not await asyncio.to_thread(place.exists):
            return None
        return await asyncio.to_thread(_examined, record, place)

    return Processor(
        is_pending=lambda record: record["state"] == "PROCESSING",
        examine=examine,
        conclude=lambda record, told: _conclude(context, record, told),
    )


def _examined(record: Record, place: Path) -> Record | None:
    """The file as the ledger names it; None when LinkedIn cannot use it."""
    if record["kind"] == "image":
        image = probe.read_image(place.read_bytes())
        if image is None or image.format not in _IMAGE_FORMATS or image.width * image.height >= _PIXELS_MOST:
            return None
        return {"sha256": image.sha256, "bytes": image.bytes}
    film = probe.read_video(place)
    if film is None or not _VIDEO_S[0] - _EDGE_S <= film.duration <= _VIDEO_S[1] + _EDGE_S:
        return None
    return {"sha256": film.sha256, "bytes": film.bytes}


def _conclude(context: "SandboxContext", record: Record, told: Record | None) -> None:
    path(context, record).unlink(missing_ok=True)
    record |= {"state": "PROCESSING_FAILED" if told is None else "AVAILABLE", "media": told}
    context.store.put(KIND, record["key"], record)


async def read(call: Call) -> web.Response:
    """GET /rest/images/{urn} and /rest/videos/{urn}."""
    account = member(call)
    urn = urn_of(call, "urn")
    record = call.context.store.get(KIND, urn)
    if record is None:
        raise refuse("RESOURCE_NOT_FOUND", f"Could not find entity {urn}", 404)
    if record["kind"] == "image" and not may(call, account, READ_ORGANIZATION, WRITE["urn:li:organization:"]):
        raise denied()  # w_member_social alone may write images, not read them
    mine = (f"{PLATFORM}:{account['remote_id']}", *token(call).get("acts_for", ()))
    if f"{PLATFORM}:{record['account']}" not in mine:
        raise denied()
    told: Record = {"id": urn, "owner": record["account"], "status": record["state"]}
    if record["state"] == "PROCESSING_FAILED" and record["kind"] == "video":
        told["processingFailureReason"] = record.get("fail_reason") or "Video could not be transcoded"
    return ok(told)


def _owner(call: Call) -> Record | None:
    """The account that is written for, as far as the request says so; else that of the token."""
    body = call.json()
    given = body.get("initializeUploadRequest") or body.get("finalizeUploadRequest")
    urn = given.get("owner") if isinstance(given, dict) else None
    if isinstance(given, dict) and "video" in given:
        record = call.context.store.get(KIND, str(given["video"]))
        urn = None if record is None else record["account"]
    found = call.context.accounts.find(PLATFORM, urn) if isinstance(urn, str) else None
    return found or token_owner(call)


def token_owner(call: Call) -> Record | None:
    """Whose token it is."""
    found = call.context.accounts.find_token(PLATFORM, DIALECT.read_token(call) or "")
    return None if found is None else call.context.accounts.find(PLATFORM, found["remote_id"])


def _exhausted(_: Call) -> web.Response:
    return limited(int(DAY))


IMAGES = Endpoint(
    platform=PLATFORM,
    step="prepare",
    handle=images,
    dialect=DIALECT,
    owner=_owner,
    quota_exhausted=_exhausted,
)
VIDEOS = Endpoint(
    platform=PLATFORM,
    step="prepare",
    handle=videos,
    dialect=DIALECT,
    owner=_owner,
    quota_exhausted=_exhausted,
)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
