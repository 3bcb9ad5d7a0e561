"""Pins: created live in one call, listed, read and deleted; texts and media after the vendor's OpenAPI (5.23.0)."""

import base64
import binascii

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.pinterest import api, board, media
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import check_fields

_DELETED = "pinterest.deleted"
_MEDIA_TYPES = {"image": "image", "carousel": "multiple_images", "video": "video"}
_CREATIVE_TYPES = {"image": "REGULAR", "carousel": "CAROUSEL", "video": "VIDEO"}
_ITEMS = (2, 5)
_IMAGE_BYTES = 20 << 20
_FORMATS = ("JPEG", "PNG")
_TYPES = ("image/jpeg", "image/png")
_COVERS = ("cover_image_url", "cover_image_data", "cover_image_key_frame_time")
_UNREACHABLE = "Unable to reach the URL. Please check the URL is correct and try again."


async def create(call: Call) -> web.Response:
    """POST /v5/pins: create a live pin; there is no duplicate detection."""
    account = api.authenticate_writer(call, "pins:write")
    if account["options"].get("trial"):
        raise Refused(api.error_response(403, 29, "Apps with Trial access may not create Pins in production"))
    body = call.json()
    own_board = board.get_own(call, account, body.get("board_id"))
    texts = _check_texts(body)
    kind, media = await _resolve_source(call, account, body.get("media_source"))
    key = random_digits(18, "1")
    live = call.context.publish(
        account,
        kind=kind,
        remote_id=key,
        handle=key,
        caption=texts["description"] or "",
        media=media,
        url=f"https://www.pinterest.com/pin/{key}/",
        late=call.take_visibility_delay(),
        extra={
            "public": own_board["privacy"] == "PUBLIC",
            "board_id": own_board["key"],
            "cover": _get_cover(body["media_source"]),
            **texts,
        },
    )
    return api.ok(_pin_to_dict(account, live), account, 201)


def _pin_to_dict(account: Record, live: LivePost) -> Record:
    entry, extra = live.entry, live.entry["extra"]
    return {
        "id": entry["remote_id"],
        "created_at": entry["at"][:19],
        "link": extra["link"],
        "title": extra["title"],
        "description": extra["description"],
        "dominant_color": extra["dominant_color"],
        "alt_text": extra["alt_text"],
        "creative_type": _CREATIVE_TYPES[entry["kind"]],
        "board_id": extra["board_id"],
        "board_section_id": extra["board_section_id"],
        "board_owner": {"username": account["username"]},
        "is_owner": True,
        "media": _media_to_dict(entry),
        "parent_pin_id": extra["parent_pin_id"],
        "is_standard": entry["kind"] == "image",
        "has_been_promoted": False,
        "note": extra["note"],
        "pin_metrics": None,
    }


def _media_to_dict(entry: Record) -> Record:
    """Return the media of a pin: the cards of a carousel as items, a video's duration in milliseconds."""
    media: Record = {"media_type": _MEDIA_TYPES[entry["kind"]]}
    if entry["kind"] == "carousel":
        return media | {"items": [{"item_type": "image"} for _ in entry["media"]]}
    if entry["kind"] == "video":
        return media | {"duration": round(entry["media"][0]["duration"] * 1000)}
    return media


def _is_shown(call: Call, live: LivePost) -> bool:
    is_deleted = call.context.store.get(_DELETED, live.entry["remote_id"]) is not None
    return call.is_visible(live) and not is_deleted


def _list_own(call: Call, account: Record, board_id: str | None) -> list[Record]:
    return [
        _pin_to_dict(account, live)
        for live in call.list_live(account["remote_id"])
        if _is_shown(call, live) and board_id in (None, live.entry["extra"]["board_id"])
    ]


async def list_on_board(call: Call) -> web.Response:
    """GET /v5/boards/{board}/pins: newest first."""
    account = api.authenticate_reader(call, "pins:read")
    own_board = board.get_own(call, account, call.request.match_info["board"])
    return api.ok(api.paginate(call, _list_own(call, account, own_board["key"])), account)


async def list_pins(call: Call) -> web.Response:
    """GET /v5/pins: newest first."""
    account = api.authenticate_reader(call, "pins:read")
    return api.ok(api.paginate(call, _list_own(call, account, None)), account)


def _get_own(call: Call, account: Record) -> LivePost:
    live = call.context.ledger.find(api.PLATFORM, call.request.match_info["pin"])
    is_mine = live is not None and live.entry["account"] == account["remote_id"] and _is_shown(call, live)
    if live is None or not is_mine or call.take_fault("late-visibility") is not None:
        raise Refused(api.error_response(404, 50, "Pin not found."))
    return live


async def read(call: Call) -> web.Response:
    """GET /v5/pins/{pin}."""
    account = api.authenticate_reader(call, "pins:read")
    return api.ok(_pin_to_dict(account, _get_own(call, account)), account)


async def delete(call: Call) -> web.Response:
    """DELETE /v5/pins/{pin}."""
    account = api.authenticate_writer(call, "pins:write")
    live = _get_own(call, account)
    call.context.store.put(_DELETED, live.entry["remote_id"], {"key": live.entry["remote_id"]})
    return web.Response(status=204)


def _check_texts(body: Record) -> Record:
    """Return the pin's texts; raises Refused."""
    check_fields(body, api.TABLE["pin"], api.invalid)
    return {name: body.get(name) for name in (*(row[0] for row in api.TABLE["pin"]), "dominant_color")}


async def _resolve_source(call: Call, account: Record, given: object) -> tuple[str, list[Record]]:
    """Return the pin's kind and the ledger's description of its media; raises Refused."""
    if not isinstance(given, dict):
        raise api.invalid("Invalid request: media_source is required.")
    match given.get("source_type"):
        case "image_url" | "image_base64" as source_type:
            return "image", [(await _check_image(call, given, source_type))[0]]
        case "multiple_image_urls" | "multiple_image_base64" as source_type:
            return "carousel", await _check_images(call, given, source_type)
        case "video_id":
            return "video", [await _get_video(call, account, given)]
        case other:
            raise api.invalid(f"Invalid request: media_source.source_type {other!r} is not supported here.")


async def _check_images(call: Call, given: Record, source_type: str) -> list[Record]:
    items = given.get("items")
    if not isinstance(items, list) or not _ITEMS[0] <= len(items) <= _ITEMS[1]:
        raise api.invalid("Invalid request: media_source.items must have from 2 to 5 items.")
    index = given.get("index", 0)
    if not isinstance(index, int) or not 0 <= index < len(items):
        raise api.invalid("Invalid request: media_source.index must name one of the items.")
    single = "image_url" if source_type == "multiple_image_urls" else "image_base64"
    found = [await _check_image(call, item if isinstance(item, dict) else {}, single) for item in items]
    if len({size for _, size in found}) > 1:
        raise api.invalid("Invalid request: all images of a carousel must have the same dimensions.")
    return [media_entry for media_entry, _ in found]


async def _check_image(call: Call, given: Record, source_type: str) -> tuple[Record, tuple[int, int]]:
    """Return the ledger's description of an image, and its width and height; raises Refused."""
    if source_type == "image_url":
        facts, media_entry = await _fetch_image(call, given.get("url"))
    else:
        data = _decode_image(given)
        facts, media_entry = probe.read_image(data), {"bytes": len(data)}
    if facts is None or facts.format not in _FORMATS or facts.bytes > _IMAGE_BYTES:
        raise api.invalid("Invalid request: the image must be a JPEG or PNG of at most 20 MB.")
    return media_entry | {"sha256": facts.sha256}, (facts.width, facts.height)


async def _fetch_image(call: Call, url: object) -> tuple[probe.ImageFacts | None, Record]:
    if not isinstance(url, str) or not url:
        raise api.invalid("Invalid request: url is required.")
    fetched = await call.context.fetcher.fetch_image(api.PLATFORM, url, _IMAGE_BYTES)
    if fetched is None:
        raise api.invalid(_UNREACHABLE)
    return fetched.image, fetched.to_ledger_media(url)


def _decode_image(given: Record) -> bytes:
    if given.get("content_type") not in _TYPES:
        raise api.invalid("Invalid request: content_type must be image/jpeg or image/png.")
    try:
        return base64.b64decode(str(given.get("data") or ""), validate=True)
    except binascii.Error:
        raise api.invalid("Invalid request: data is not base64.") from None


def _get_cover(given: Record) -> object:
    """Return the URL, or the second, of a video's cover."""
    return given.get("cover_image_url", given.get("cover_image_key_frame_time"))


async def _get_video(call: Call, account: Record, given: Record) -> Record:
    key = given.get("media_id")
    if not isinstance(key, str) or not key.isdecimal():
        raise api.invalid("Invalid request: media_source.media_id must match ^\\d+$.")
    record = call.find_own(media.KIND, key, account)
    if record is None:
        raise api.invalid("Invalid request: there is no such media_id.")
    if record["state"] != "succeeded":
        raise api.invalid(f"Invalid request: the media is not ready, its status is {record['state']}.")
    covers = [name for name in _COVERS if given.get(name) is not None]
    if len(covers) != 1:
        raise api.invalid("Invalid request: one cover image is required.")
    if type(given.get("cover_image_key_frame_time", 0)) is not int:
        raise api.invalid("Invalid request: cover_image_key_frame_time must be an integer.")
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
