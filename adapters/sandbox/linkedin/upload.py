"""www.linkedin.com/dms-uploads: receives images whole (with a token) and videos in parts (without one)."""

import hashlib
from pathlib import Path

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.clock import DAY
from adapters.sandbox.endpoint import Call
from adapters.sandbox.linkedin import asset
from adapters.sandbox.linkedin.api import refuse
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.upload_body import receive_body

_IMAGE_BYTES = 100 << 20
_THUMBNAIL_BYTES = 10_000_000 - 1
_THUMBNAIL_FORMATS = ("JPEG", "PNG")
_STEP = 1 << 20


def _find_asset(call: Call) -> Record | None:
    place = call.context.store.get("linkedin.place", call.request.match_info["place"])
    return None if place is None else call.context.store.get(asset.KIND, place["asset"])


def find_owner(call: Call) -> Record | None:
    """Return the account of an upload, whose requests carry no token."""
    return call.find_record_owner(_find_asset(call))


async def put(call: Call) -> web.Response:
    """PUT of an image, or of one part of a video."""
    record = _find_asset(call)
    if record is None:
        raise refuse("RESOURCE_NOT_FOUND", "Could not find the upload", 404)
    if call.context.clock.now() >= record["created"] + DAY:
        raise refuse("EXPIRED_UPLOAD_URL", "The upload URL has expired")
    if record["kind"] == "image":
        return await _receive_image(call, record)
    if call.request.match_info["number"] == "thumbnail":
        return await _receive_thumbnail(call, record)
    return await _receive_part(call, record)


async def _receive_thumbnail(call: Call, record: Record) -> web.Response:
    headers = call.request.headers
    if "Authorization" in headers or headers.get("media-type-family") != "STILLIMAGE":
        raise refuse("ILLEGAL_ARGUMENT", "A thumbnail is sent with media-type-family, without Authorization")
    if record["state"] != "WAITING_UPLOAD":
        raise refuse("INVALID_VALUE_FOR_FIELD", "A thumbnail is sent before finalizeUpload")
    place = asset.upload_path(call.context, record).with_suffix(".thumbnail")
    place.unlink(missing_ok=True)
    await _store(call, place, 0, _THUMBNAIL_BYTES)
    image = probe.read_image(place.read_bytes())
    place.unlink()
    if image is None or image.format not in _THUMBNAIL_FORMATS:
        raise refuse("INVALID_VALUE_FOR_FIELD", "A thumbnail is a PNG or JPG")
    call.context.store.put(asset.KIND, record["key"], record | {"thumbnail": image.sha256})
    return web.Response(status=201)


async def _receive_image(call: Call, record: Record) -> web.Response:
    call.authenticate()
    if record["state"] != "WAITING_UPLOAD":
        raise refuse("INVALID_VALUE_FOR_FIELD", "The image was uploaded before")
    await _store(call, asset.upload_path(call.context, record), 0, _IMAGE_BYTES)
    if record["state"] == "WAITING_UPLOAD":
        await asset.process(call, record)
    return web.Response(status=201)


async def _receive_part(call: Call, record: Record) -> web.Response:
    headers = call.request.headers
    number = int(call.request.match_info["number"])
    first = number * asset.PART
    length = min(asset.PART, record["size"] - first)
    if "Authorization" in headers:
        raise refuse("ILLEGAL_ARGUMENT", "The parts of a video are sent without Authorization")
    if call.request.content_type != "application/octet-stream":
        raise refuse("ILLEGAL_ARGUMENT", "Content-Type must be application/octet-stream")
    if length <= 0 or call.request.content_length != length or record["state"] != "WAITING_UPLOAD":
        raise refuse("INVALID_VALUE_FOR_FIELD", f"This part has {max(length, 0)} bytes")
    await _store(call, asset.upload_path(call.context, record), first, length)
    etag = _hash_part(asset.upload_path(call.context, record), first, length)
    record["etags"][str(number)] = etag
    call.context.store.put(asset.KIND, record["key"], record)
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
