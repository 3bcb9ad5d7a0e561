"""LinkedIn images and videos: upload URLs, the uploads themselves, processing and status.

www.linkedin.com/dms-uploads receives images whole (with a token) and videos in parts (without one).
States: WAITING_UPLOAD -> PROCESSING -> AVAILABLE or PROCESSING_FAILED.
"""

import asyncio
import hashlib
import secrets
from pathlib import Path

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.clock import DAY
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.linkedin import api
from adapters.sandbox.processing import Task
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.upload_body import receive_body

KIND = "linkedin.asset"
PART = 4_194_304
_VIDEO_BYTES = (75_000, 500_000_000)
_VIDEO_S = (3.0, 1800.0)
_EDGE_S = 0.05
_IMAGE_FORMATS = ("JPEG", "PNG", "GIF")
_MAX_PIXELS = 36_152_320
_IMAGE_BYTES = 100 << 20
_THUMBNAIL_BYTES = 10_000_000 - 1
_THUMBNAIL_FORMATS = ("JPEG", "PNG")
_STEP = 1 << 20


async def create_image(call: Call) -> web.Response:
    """POST /rest/images?action=initializeUpload."""
    given = _parse_request(call, "initializeUpload", "initializeUploadRequest")
    owner = api.authorize_author(call, given.get("owner"), "owner")
    record = _create(call, owner, f"urn:li:image:C4E10AQ{secrets.token_urlsafe(12)}", "image")
    value = {
        "uploadUrlExpiresAt": _get_expiry_ms(record),
        "uploadUrl": _build_upload_url(call, record, 0),
        "image": record["key"],
    }
    return api.ok({"value": value})


async def handle_video(call: Call) -> web.Response:
    """POST /rest/videos?action=initializeUpload or finalizeUpload."""
    if call.request.query.get("action") == "finalizeUpload":
        return await _finalize(call)
    given = _parse_request(call, "initializeUpload", "initializeUploadRequest")
    owner = api.authorize_author(call, given.get("owner"), "owner")
    size = given.get("fileSizeBytes")
    if not isinstance(size, int) or not _VIDEO_BYTES[0] <= size <= _VIDEO_BYTES[1]:
        raise api.refuse("INVALID_VALUE_FOR_FIELD", "fileSizeBytes must be from 75 KB to 500 MB")
    record = _create(call, owner, f"urn:li:video:C5F10AQ{secrets.token_urlsafe(12)}", "video")
    record |= {"size": size, "etags": {}, "token": ""}
    parts = [
        {
            "uploadUrl": _build_upload_url(call, record, number),
            "firstByte": first,
            "lastByte": min(first + PART, size) - 1,
        }
        for number, first in enumerate(range(0, size, PART))
    ]
    has_thumbnail = given.get("uploadThumbnail") is True
    thumbnail = {"thumbnailUploadUrl": _build_upload_url(call, record, "thumbnail")} if has_thumbnail else {}
    value = {
        "uploadUrlsExpireAt": _get_expiry_ms(record),
        "video": record["key"],
        "uploadInstructions": parts,
    }
    return api.ok({"value": value | thumbnail | {"uploadToken": record["token"]}})


def _parse_request(call: Call, action: str, name: str) -> Record:
    api.authenticate(call)
    if call.request.query.get("action") != action:
        raise api.refuse("ILLEGAL_ARGUMENT", f"The parameter action must be {action}")
    given = call.json().get(name)
    if not isinstance(given, dict):
        raise api.refuse("MISSING_FIELD", f"Field {name} is required")
    return given


def _create(call: Call, owner: Record, urn: str, kind: str) -> Record:
    record: Record = {"key": urn, "account": owner["remote_id"], "kind": kind, "state": "WAITING_UPLOAD"}
    record |= {"created": call.context.clock.now(), "place": secrets.token_urlsafe(18), "media": None}
    record |= call.take_processing_faults()
    call.context.store.put(KIND, urn, record)
    call.context.store.put("linkedin.place", record["place"], {"asset": urn})
    return record


def _get_expiry_ms(record: Record) -> int:
    return int((record["created"] + DAY) * 1000)


def _build_upload_url(call: Call, record: Record, number: int | str) -> str:
    return f"http://{call.request.host}/linkedin/dms-uploads/{record['place']}/{number}?ca=vector&cn=uploads"


def upload_path(context: SandboxContext, record: Record) -> Path:
    """Return the file that holds the bytes until they are examined."""
    return context.uploads / f"linkedin-{record['place']}"


async def _finalize(call: Call) -> web.Response:
    given = _parse_request(call, "finalizeUpload", "finalizeUploadRequest")
    record = call.context.store.get(KIND, str(given.get("video")))
    if record is None or record["kind"] != "video":
        raise api.refuse("INVALID_URN_ID", "Field video: there is no such video")
    api.authorize_author(call, record["account"], "video")
    expected = [record["etags"].get(str(number)) for number in range(-(-record["size"] // PART))]
    sent = given.get("uploadedPartIds")
    ids = [str(part).strip('"') for part in sent] if isinstance(sent, list) else None
    if None in expected or ids != expected:
        raise api.refuse("INVALID_VALUE_FOR_FIELD", "uploadedPartIds must name every part, in its order")
    if given.get("uploadToken") != record["token"]:
        raise api.refuse("INVALID_VALUE_FOR_FIELD", "uploadToken is not the one that was given out")
    if record["state"] == "WAITING_UPLOAD":
        await process(call, record)
    return web.Response(status=200)


async def process(call: Call, record: Record) -> None:
    """Start processing a complete upload."""
    record |= {"state": "PROCESSING", **call.take_processing_faults()}
    call.context.store.put(KIND, record["key"], record)
    await call.context.processing.start(KIND, record)


async def _examine(context: SandboxContext, record: Record) -> Record | None:
    place = upload_path(context, record)
    if not await asyncio.to_thread(place.exists):
        return None
    return await asyncio.to_thread(_check_media, record, place)


def _check_media(record: Record, place: Path) -> Record | None:
    """Return the ledger's description of the file, or None if LinkedIn cannot use it."""
    if record["kind"] == "image":
        image = probe.read_image(place.read_bytes())
        if image is None or image.format not in _IMAGE_FORMATS or image.width * image.height >= _MAX_PIXELS:
            return None
        return {"sha256": image.sha256, "bytes": image.bytes}
    video = probe.read_video(place)
    if video is None or not _VIDEO_S[0] - _EDGE_S <= video.duration <= _VIDEO_S[1] + _EDGE_S:
        return None
    return {"sha256": video.sha256, "bytes": video.bytes}


def _conclude(_: SandboxContext, record: Record, media: Record | None) -> None:
    record |= {"state": "PROCESSING_FAILED" if media is None else "AVAILABLE", "media": media}


TASK = Task(
    kind=KIND,
    states=("PROCESSING",),
    examine=_examine,
    fail=lambda _: None,
    conclude=_conclude,
    file=upload_path,
)


async def read(call: Call) -> web.Response:
    """GET /rest/images/{urn} and /rest/videos/{urn}."""
    account = api.authenticate(call)
    urn = api.get_path_urn(call, "urn")
    record = call.context.store.get(KIND, urn)
    if record is None:
        raise api.refuse("RESOURCE_NOT_FOUND", f"Could not find entity {urn}", 404)
    if record["kind"] == "image" and not api.has_scope(
        call, account, api.READ_ORGANIZATION, api.WRITE[api.ORGANIZATION]
    ):
        raise api.deny()  # w_member_social alone permits writing images, not reading them
    if not api.acts_for(call, account, record["account"]):
        raise api.deny()
    body: Record = {"id": urn, "owner": record["account"], "status": record["state"]}
    if record["state"] == "PROCESSING_FAILED" and record["kind"] == "video":
        body["processingFailureReason"] = record.get("fail_reason") or "Video could not be transcoded"
    return api.ok(body)


def find_owner(call: Call) -> Record | None:
    """Return the account that the request names as owner, else the account of the token."""
    body = call.json()
    given = body.get("initializeUploadRequest") or body.get("finalizeUploadRequest")
    urn = given.get("owner") if isinstance(given, dict) else None
    if isinstance(given, dict) and "video" in given:
        record = call.context.store.get(KIND, str(given["video"]))
        urn = None if record is None else record["account"]
    found = call.context.accounts.find(api.PLATFORM, urn) if isinstance(urn, str) else None
    return found or api.find_token_owner(call)


def _find_asset(call: Call) -> Record | None:
    place = call.context.store.get("linkedin.place", call.request.match_info["place"])
    return None if place is None else call.context.store.get(KIND, place["asset"])


def find_upload_owner(call: Call) -> Record | None:
    """Return the account of an upload, whose requests carry no token."""
    return call.find_record_owner(_find_asset(call))


async def put_bytes(call: Call) -> web.Response:
    """PUT of an image, or of one part of a video."""
    record = _find_asset(call)
    if record is None:
        raise api.refuse("RESOURCE_NOT_FOUND", "Could not find the upload", 404)
    if call.context.clock.now() >= record["created"] + DAY:
        raise api.refuse("EXPIRED_UPLOAD_URL", "The upload URL has expired")
    if record["kind"] == "image":
        return await _receive_image(call, record)
    if call.request.match_info["number"] == "thumbnail":
        return await _receive_thumbnail(call, record)
    return await _receive_part(call, record)


async def _receive_thumbnail(call: Call, record: Record) -> web.Response:
    headers = call.request.headers
    if "Authorization" in headers or headers.get("media-type-family") != "STILLIMAGE":
        raise api.refuse(
            "ILLEGAL_ARGUMENT", "A thumbnail is sent with media-type-family, without Authorization"
        )
    if record["state"] != "WAITING_UPLOAD":
        raise api.refuse("INVALID_VALUE_FOR_FIELD", "A thumbnail is sent before finalizeUpload")
    place = upload_path(call.context, record).with_suffix(".thumbnail")
    place.unlink(missing_ok=True)
    await _store(call, place, 0, _THUMBNAIL_BYTES)
    image = probe.read_image(place.read_bytes())
    place.unlink()
    if image is None or image.format not in _THUMBNAIL_FORMATS:
        raise api.refuse("INVALID_VALUE_FOR_FIELD", "A thumbnail is a PNG or JPG")
    call.context.store.put(KIND, record["key"], record | {"thumbnail": image.sha256})
    return web.Response(status=201)


async def _receive_image(call: Call, record: Record) -> web.Response:
    call.authenticate()
    if record["state"] != "WAITING_UPLOAD":
        raise api.refuse("INVALID_VALUE_FOR_FIELD", "The image was uploaded before")
    await _store(call, upload_path(call.context, record), 0, _IMAGE_BYTES)
    if record["state"] == "WAITING_UPLOAD":
        await process(call, record)
    return web.Response(status=201)


async def _receive_part(call: Call, record: Record) -> web.Response:
    headers = call.request.headers
    number = int(call.request.match_info["number"])
    first = number * PART
    length = min(PART, record["size"] - first)
    if "Authorization" in headers:
        raise api.refuse("ILLEGAL_ARGUMENT", "The parts of a video are sent without Authorization")
    if call.request.content_type != "application/octet-stream":
        raise api.refuse("ILLEGAL_ARGUMENT", "Content-Type must be application/octet-stream")
    if length <= 0 or call.request.content_length != length or record["state"] != "WAITING_UPLOAD":
        raise api.refuse("INVALID_VALUE_FOR_FIELD", f"This part has {max(length, 0)} bytes")
    await _store(call, upload_path(call.context, record), first, length)
    etag = _hash_part(upload_path(call.context, record), first, length)
    record["etags"][str(number)] = etag
    call.context.store.put(KIND, record["key"], record)
    return web.Response(status=200, headers={"ETag": etag})


async def _store(call: Call, place: Path, at: int, most: int) -> None:
    taken = await receive_body(call.request, place, at, most)
    if taken.is_aborted or taken.is_too_large:
        raise Refused(web.Response(status=400))


def _hash_part(path: Path, first: int, length: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(first)
        while length and (part := file.read(min(_STEP, length))):
            digest.update(part)
            length -= len(part)
    return f"/ambry-video/signedId/{digest.hexdigest()}"
