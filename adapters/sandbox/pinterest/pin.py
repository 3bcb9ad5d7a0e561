"""Pins of the Pinterest stand-in: made live in one call, listed by board, read, deleted."""

from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.pinterest import board, pin_body
from adapters.sandbox.pinterest.dialect import (
    DIALECT,
    PLATFORM,
    error_response,
    limited,
    ok,
    page_of,
    reader,
    writer,
)
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_GONE = "pinterest.deleted"
_MEDIA_TYPES = {"image": "image", "carousel": "multiple_images", "video": "video"}
_CREATIVE_TYPES = {"image": "REGULAR", "carousel": "CAROUSEL", "video": "VIDEO"}


async def create(call: Call) -> web.Response:
    """POST /v5/pins: live with the answer, and no second call can find out that it is the same."""
    account = writer(call, "pins:write")
    body = call.json()
    place = board.own(call, account, body.get("board_id"))
    told = pin_body.texts(body)
    kind, media = await pin_body.source(call, account, body.get("media_source"))
    key = random_digits(18, "1")
    live = call.context.publish(
        account,
        kind=kind,
        remote_id=key,
        handle=key,
        caption=told["description"] or "",
        media=media,
        url=f"https://www.pinterest.com/pin/{key}/",
        late=call.take_visibility_delay(),
        extra={
            "public": place["privacy"] == "PUBLIC" and not account["options"].get("trial"),
            "board_id": place["key"],
            **told,
        },
    )
    return ok(_told(account, live), account, 201)


def _told(account: Record, live: LivePost) -> Record:
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
        "media": {"media_type": _MEDIA_TYPES[entry["kind"]]},
        "parent_pin_id": extra["parent_pin_id"],
        "is_standard": entry["kind"] == "image",
        "has_been_promoted": False,
        "note": extra["note"],
        "pin_metrics": None,
    }


def _is_shown(context: "SandboxContext", live: LivePost) -> bool:
    return (
        live.visible_at <= context.clock.now() and context.store.get(_GONE, live.entry["remote_id"]) is None
    )


def _mine(call: Call, account: Record, board_id: str | None) -> list[Record]:
    return [
        _told(account, live)
        for live in reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"]))
        if _is_shown(call.context, live) and board_id in (None, live.entry["extra"]["board_id"])
    ]


async def on_board(call: Call) -> web.Response:
    """GET /v5/boards/{board}/pins: newest first."""
    account = reader(call, "pins:read")
    place = board.own(call, account, call.request.match_info["board"])
    return ok(page_of(call, _mine(call, account, place["key"])), account)


async def listing(call: Call) -> web.Response:
    """GET /v5/pins: newest first."""
    account = reader(call, "pins:read")
    return ok(page_of(call, _mine(call, account, None)), account)


def _own(call: Call, account: Record) -> LivePost:
    live = call.context.ledger.find(PLATFORM, call.request.match_info["pin"])
    is_mine = (
        live is not None and live.entry["account"] == account["remote_id"] and _is_shown(call.context, live)
    )
    if live is None or not is_mine or call.take_fault("late-visibility") is not None:
        raise Refused(error_response(404, 50, "Pin not found."))
    return live


async def read(call: Call) -> web.Response:
    """GET /v5/pins/{pin}."""
    account = reader(call, "pins:read")
    return ok(_told(account, _own(call, account)), account)


async def delete(call: Call) -> web.Response:
    """DELETE /v5/pins/{pin}."""
    account = writer(call, "pins:write")
    live = _own(call, account)
    call.context.store.put(_GONE, live.entry["remote_id"], {"key": live.entry["remote_id"]})
    return web.Response(status=204)


CREATE = Endpoint(
    platform=PLATFORM,
    step="finalize",
    handle=create,
    dialect=DIALECT,
    quota_exhausted=lambda _: limited(86_400),
)
ON_BOARD = Endpoint(platform=PLATFORM, step="look", handle=on_board, dialect=DIALECT)
LISTING = Endpoint(platform=PLATFORM, step="look", handle=listing, dialect=DIALECT)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
