"""Pins: created live in one call, listed, read and deleted."""

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.pinterest import api, board, pin_body
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

_DELETED = "pinterest.deleted"
_MEDIA_TYPES = {"image": "image", "carousel": "multiple_images", "video": "video"}
_CREATIVE_TYPES = {"image": "REGULAR", "carousel": "CAROUSEL", "video": "VIDEO"}


async def create(call: Call) -> web.Response:
    """POST /v5/pins: create a live pin; there is no duplicate detection."""
    account = api.authenticate_writer(call, "pins:write")
    if account["options"].get("trial"):
        raise Refused(api.error_response(403, 29, "Apps with Trial access may not create Pins in production"))
    body = call.json()
    own_board = board.get_own(call, account, body.get("board_id"))
    texts = pin_body.check_texts(body)
    kind, media = await pin_body.resolve_source(call, account, body.get("media_source"))
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
            "cover": pin_body.get_cover(body["media_source"]),
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
