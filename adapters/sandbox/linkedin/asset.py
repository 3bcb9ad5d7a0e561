"""LinkedIn images, documents and videos: upload URLs, the uploads themselves, processing and status.

www.linkedin.com/dms-uploads receives images and documents whole (with a token) and videos in parts (without one).
States: WAITING_UPLOAD -> PROCESSING -> AVAILABLE or PROCESSING_FAILED.
"""

import asyncio
import hashlib
import secrets
from pathlib import Path

from aiohttp import web

from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import Refused, json_response
from adapters.sandbox.endpoint import Call
from adapters.sandbox.linkedin import api
from adapters.sandbox.linkedin.api import TABLE, refuse
from adapters.sandbox.processing import Outcome, Task, examine_document, examine_image, examine_upload
from adapters.sandbox.store import Record
from adapters.sandbox.uploads import receive_body

KIND = "linkedin.asset"
_PLACE = "linkedin.place"
_PART = 4_194_304
_VIDEO_BYTES = (75_000, 500_000_000)
_WHOLE_BYTES = 101 << 20
"""More than any limit of a file that is sent whole: its examination decides."""
_THUMBNAIL_BYTES = 10_000_000 - 1


async def create_whole(call: Call, kind: str, prefix: str) -> web.Response:
    """POST /rest/images or /rest/documents?action=initializeUpload."""
    given = _parse_request(call, "initializeUpload", "initializeUpload")
    owner = api.authorize_author(call, given.get("owner"), "owner")
    record = _create(call, owner, f"urn:li:{kind}:{prefix}{secrets.token_urlsafe(12)}", kind)
    value = {"uploadUrlExpiresAt": _get_expiry_ms(record), "uploadUrl": _build_upload_url(call, record, 0)}
    return json_response({"value": value | {kind: record["key"]}})


async def handle_video(call: Call) -> web.Response:
    """POST /rest/videos?action=initializeUpload or finalizeUpload."""
    if call.request.query.get("action") == "finalizeUpload":
        return await _finalize(call)
    given = _parse_request(call, "initializeUpload", "initializeVideo")
    owner = api.authorize_author(call, given.get("owner"), "owner")
    size = given.get("fileSizeBytes") or 0
    if not _VIDEO_BYTES[0] <= size <= _VIDEO_BYTES[1]:
        raise refuse("file_size")
    record = _create(call, owner, f"urn:li:video:C5F10AQ{secrets.token_urlsafe(12)}", "video")
    call.save(KIND, record, size=size, etags={}, token="")
    parts = [
        {
            "uploadUrl": _build_upload_url(call, record, number),
            "firstByte": first,
            "lastByte": min(first + _PART, size) - 1,
        }
        for number, first in enumerate(range(0, size, _PART))
    ]
    value: Record = {"uploadUrlsExpireAt": _get_expiry_ms(record), "video": record["key"]}
    value["uploadInstructions"] = parts
    if given.get("uploadThumbnail") is True:
        value["thumbnailUploadUrl"] = _build_upload_url(call, record, "thumbnail")
    return json_response({"value": value | {"uploadToken": record["token"]}})


def _parse_request(call: Call, action: str, schema: str) -> Record:
    api.authenticate(call)
    if call.request.query.get("action") != action:
        raise refuse("bad_action", action=action)
    given = call.json().get(f"{action}Request")
    if not isinstance(given, dict):
        raise refuse("missing_field", name=f"{action}Request")
    api.DIALECT.check_types(schema, given, f"{action}Request")
    return given


def _create(call: Call, owner: Record, urn: str, kind: str) -> Record:
    place = secrets.token_urlsafe(18)
    call.context.store.put(_PLACE, place, {"asset": urn})
    return call.create(KIND, urn, owner, kind=kind, state="WAITING_UPLOAD", place=place, media=None)


def _get_expiry_ms(record: Record) -> int:
    return int((record["created"] + DAY) * 1000)


def _build_upload_url(call: Call, record: Record, number: int | str) -> str:
    return f"http://{call.request.host}/linkedin/dms-uploads/{record['place']}/{number}?ca=vector&cn=uploads"


async def _finalize(call: Call) -> web.Response:
    given = _parse_request(call, "finalizeUpload", "finalizeUpload")
    record = call.context.store.get(KIND, str(given.get("video")))
    if record is None or record["kind"] != "video":
        raise refuse("unknown_video")
    api.authorize_author(call, record["account"], "video")
    expected = [record["etags"].get(str(number)) for number in range(-(-record["size"] // _PART))]
    ids = [part.strip('"') for part in given.get("uploadedPartIds") or ()]
    if ids != expected:
        raise refuse("part_ids")
    if given.get("uploadToken") != record["token"]:
        raise refuse("upload_token")
    if record["state"] == "WAITING_UPLOAD":
        await _process(call, record)
    return web.Response(status=200)


async def _process(call: Call, record: Record) -> None:
    await call.start_processing(KIND, record, state="PROCESSING", **call.take_processing_faults())


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    place, rules = context.get_upload(record), TABLE["media"][record["kind"]]
    if record["kind"] == "video":
        return await examine_upload(place, rules)
    if record["kind"] == "document":
        return await asyncio.to_thread(examine_document, place, rules)
    return examine_image(await asyncio.to_thread(place.read_bytes) if place.exists() else b"", rules)


def _conclude(_: SandboxContext, record: Record, outcome: Outcome) -> None:
    state = "PROCESSING_FAILED" if outcome.error else "AVAILABLE"
    record |= {"state": state, "media": None if outcome.error else outcome.media[0]}


TASK = Task(kind=KIND, states=("PROCESSING",), examine=_examine, conclude=_conclude)


async def read(call: Call, account: Record) -> web.Response:
    """GET /rest/images/{urn}, /rest/documents/{urn} and /rest/videos/{urn}."""
    urn = api.get_path_urn(call)
    record = call.context.store.get(KIND, urn)
    if record is None:
        raise refuse("not_found", urn=urn)
    # w_member_social alone permits writing images and documents, not reading them
    needed = (api.READ_ORGANIZATION, api.WRITE[api.ORGANIZATION])
    if record["kind"] != "video" and not api.has_scope(call, account, *needed):
        raise refuse("missing_scope")
    if not api.acts_for(call, account, record["account"]):
        raise refuse("missing_scope")
    body: Record = {"id": urn, "owner": record["account"], "status": record["state"]}
    if record["state"] == "PROCESSING_FAILED" and record["kind"] == "video":
        body["processingFailureReason"] = record.get("fail_reason") or "Video could not be transcoded"
    return json_response(body)


def find_owner(call: Call) -> Record | None:
    """Return the account that the request names as owner, else the account of the token."""
    body = call.json()
    given = body.get("initializeUploadRequest") or body.get("finalizeUploadRequest")
    if not isinstance(given, dict):
        return api.find_owner(call, None)
    record = call.context.store.get(KIND, str(given.get("video")))
    return api.find_owner(call, given.get("owner") if record is None else record["account"])


def find_upload_owner(call: Call) -> Record | None:
    """Return the account of an upload URL, whose requests may carry no token."""
    return call.find_record_owner(_find_asset(call))


def _find_asset(call: Call) -> Record | None:
    place = call.context.store.get(_PLACE, call.request.match_info["place"])
    return None if place is None else call.context.store.get(KIND, place["asset"])


async def put_bytes(call: Call) -> web.Response:
    """PUT of an image or a document, or of one part of a video."""
    record = _find_asset(call)
    if record is None:
        raise refuse("unknown_upload")
    if call.context.clock.now() >= record["created"] + DAY:
        raise refuse("expired_upload")
    if record["kind"] != "video":
        return await _receive_whole(call, record)
    if call.request.match_info["number"] == "thumbnail":
        return await _receive_thumbnail(call, record)
    return await _receive_part(call, record)


async def _receive_thumbnail(call: Call, record: Record) -> web.Response:
    headers = call.request.headers
    if "Authorization" in headers or headers.get("media-type-family") != "STILLIMAGE":
        raise refuse("thumbnail_headers")
    if record["state"] != "WAITING_UPLOAD":
        raise refuse("late_thumbnail")
    place = call.context.get_upload(record).with_suffix(".thumbnail")
    place.unlink(missing_ok=True)
    await _store(call, place, 0, _THUMBNAIL_BYTES)
    found = examine_image(place.read_bytes(), TABLE["media"]["thumbnail"])
    place.unlink()
    if found.error is not None:
        raise refuse("no_thumbnail")
    call.save(KIND, record, thumbnail=found.facts.sha256)
    return web.Response(status=201)


async def _receive_whole(call: Call, record: Record) -> web.Response:
    call.authenticate()
    if record["state"] != "WAITING_UPLOAD":
        raise refuse("uploaded_before")
    await _store(call, call.context.get_upload(record), 0, _WHOLE_BYTES)
    if record["state"] == "WAITING_UPLOAD":
        await _process(call, record)
    return web.Response(status=201)


async def _receive_part(call: Call, record: Record) -> web.Response:
    number = int(call.request.match_info["number"])
    first = number * _PART
    length = min(_PART, record["size"] - first)
    if "Authorization" in call.request.headers:
        raise refuse("part_with_token")
    if call.request.content_type != "application/octet-stream":
        raise refuse("part_type")
    if length <= 0 or call.request.content_length != length or record["state"] != "WAITING_UPLOAD":
        raise refuse("part_size", size=max(length, 0))
    place = call.context.get_upload(record)
    await _store(call, place, first, length)
    with place.open("rb") as file:
        file.seek(first)
        etag = f"/ambry-video/signedId/{hashlib.sha256(file.read(length)).hexdigest()}"
    record["etags"][str(number)] = etag
    call.save(KIND, record)
    return web.Response(status=200, headers={"ETag": etag})


async def _store(call: Call, place: Path, at: int, most: int) -> None:
    taken = await receive_body(call.request, place, at, most)
    if taken.is_aborted or taken.is_too_large:
        raise Refused(web.Response(status=400))
