"""Validation of a pin's texts and media, after the vendor's OpenAPI description (5.23.0)."""

import base64
import binascii

from adapters.sandbox import probe
from adapters.sandbox.endpoint import Call
from adapters.sandbox.pinterest import media
from adapters.sandbox.pinterest.api import PLATFORM, TABLE, invalid
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import check_fields

_ITEMS = (2, 5)
_IMAGE_BYTES = 20 << 20
_FORMATS = ("JPEG", "PNG")
_TYPES = ("image/jpeg", "image/png")
_COVERS = ("cover_image_url", "cover_image_data", "cover_image_key_frame_time")
_UNREACHABLE = "Unable to reach the URL. Please check the URL is correct and try again."


def check_texts(body: Record) -> Record:
    """Return the pin's texts; raises Refused."""
    check_fields(body, TABLE["pin"], invalid)
    return {name: body.get(name) for name in (*(row[0] for row in TABLE["pin"]), "dominant_color")}


async def resolve_source(call: Call, account: Record, given: object) -> tuple[str, list[Record]]:
    """Return the pin's kind and the ledger's description of its media; raises Refused."""
    if not isinstance(given, dict):
        raise invalid("Invalid request: media_source is required.")
    match given.get("source_type"):
        case "image_url" | "image_base64" as source_type:
            return "image", [(await _check_image(call, given, source_type))[0]]
        case "multiple_image_urls" | "multiple_image_base64" as source_type:
            return "carousel", await _check_images(call, given, source_type)
        case "video_id":
            return "video", [await _get_video(call, account, given)]
        case other:
            raise invalid(f"Invalid request: media_source.source_type {other!r} is not supported here.")


async def _check_images(call: Call, given: Record, source_type: str) -> list[Record]:
    items = given.get("items")
    if not isinstance(items, list) or not _ITEMS[0] <= len(items) <= _ITEMS[1]:
        raise invalid("Invalid request: media_source.items must have from 2 to 5 items.")
    index = given.get("index", 0)
    if not isinstance(index, int) or not 0 <= index < len(items):
        raise invalid("Invalid request: media_source.index must name one of the items.")
    single = "image_url" if source_type == "multiple_image_urls" else "image_base64"
    found = [await _check_image(call, item if isinstance(item, dict) else {}, single) for item in items]
    if len({size for _, size in found}) > 1:
        raise invalid("Invalid request: all images of a carousel must have the same dimensions.")
    return [media_entry for media_entry, _ in found]


async def _check_image(call: Call, given: Record, source_type: str) -> tuple[Record, tuple[int, int]]:
    """Return the ledger's description of an image, and its width and height; raises Refused."""
    if source_type == "image_url":
        facts, media_entry = await _fetch_image(call, given.get("url"))
    else:
        data = _decode_image(given)
        facts, media_entry = probe.read_image(data), {"bytes": len(data)}
    if facts is None or facts.format not in _FORMATS or facts.bytes > _IMAGE_BYTES:
        raise invalid("Invalid request: the image must be a JPEG or PNG of at most 20 MB.")
    return media_entry | {"sha256": facts.sha256}, (facts.width, facts.height)


async def _fetch_image(call: Call, url: object) -> tuple[probe.ImageFacts | None, Record]:
    if not isinstance(url, str) or not url:
        raise invalid("Invalid request: url is required.")
    fetched = await call.context.fetcher.fetch_image(PLATFORM, url, _IMAGE_BYTES)
    if fetched is None:
        raise invalid(_UNREACHABLE)
    return fetched.image, fetched.to_ledger_media(url)


def _decode_image(given: Record) -> bytes:
    if given.get("content_type") not in _TYPES:
        raise invalid("Invalid request: content_type must be image/jpeg or image/png.")
    try:
        return base64.b64decode(str(given.get("data") or ""), validate=True)
    except binascii.Error:
        raise invalid("Invalid request: data is not base64.") from None


def get_cover(given: Record) -> object:
    """Return the URL, or the second, of a video's cover."""
    return given.get("cover_image_url", given.get("cover_image_key_frame_time"))


async def _get_video(call: Call, account: Record, given: Record) -> Record:
    key = given.get("media_id")
    if not isinstance(key, str) or not key.isdecimal():
        raise invalid("Invalid request: media_source.media_id must match ^\\d+$.")
    record = call.find_own(media.KIND, key, account)
    if record is None:
        raise invalid("Invalid request: there is no such media_id.")
    if record["state"] != "succeeded":
        raise invalid(f"Invalid request: the media is not ready, its status is {record['state']}.")
    covers = [name for name in _COVERS if given.get(name) is not None]
    if len(covers) != 1:
        raise invalid("Invalid request: one cover image is required.")
    if type(given.get("cover_image_key_frame_time", 0)) is not int:
        raise invalid("Invalid request: cover_image_key_frame_time must be an integer.")
    if covers == ["cover_image_url"]:
        await _check_image(call, {"url": given["cover_image_url"]}, "image_url")
    if covers == ["cover_image_data"]:
        cover = {
            "content_type": given.get("cover_image_content_type"),
            "data": given["cover_image_data"],
        }
        await _check_image(call, cover, "image_base64")
    found: Record = record["media"]
    return found
