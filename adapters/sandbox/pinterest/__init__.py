"""Pinterest's API v5, and the storage that receives its videos, as documented on 2026-11-24; and its pins.

Pins are created live in one call, listed, read and deleted; texts and media are checked after the vendor's OpenAPI
(5.23.0).
"""

import sys

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import check_fields, fill
from adapters.sandbox.endpoint import Call, mount_routes, read_routes
from adapters.sandbox.pinterest import api
from adapters.sandbox.pinterest.api import TABLE, refuse
from adapters.sandbox.processing import examine_url
from adapters.sandbox.store import LivePost, Record

_IMAGE_BYTES = 20 << 20
_COVERS = ("cover_image_url", "cover_image_key_frame_time")


async def create(call: Call, account: Record) -> web.Response:
    """POST /v5/pins: create a live pin; there is no duplicate detection."""
    if account["options"].get("trial"):
        raise refuse("trial")
    body = call.json("PinCreate")
    _check_source(body.get("media_source"))
    own_board = api.get_board(call, account, body.get("board_id"))
    check_fields(body, TABLE["pin"], refuse)
    if body.get("board_section_id") is not None:
        api.require_section(call, own_board, body["board_section_id"])
    texts = {name: body.get(name) for name in (*(row[0] for row in TABLE["pin"]), "dominant_color")}
    source = body["media_source"]
    kind, files = await _resolve_source(call, account, source)
    key = random_digits(18, "1")
    live = call.context.publish(
        account,
        kind=kind,
        remote_id=key,
        caption=texts["description"] or "",
        media=files,
        url=f"https://www.pinterest.com/pin/{key}/",
        late=call.take_visibility_delay(),
        public=own_board["privacy"] == "PUBLIC",
        board_id=own_board["key"],
        cover=source.get("cover_image_url", source.get("cover_image_key_frame_time")),
        **texts,
    )
    return api.ok(_pin_to_dict(account, live), account, 201)


def _pin_to_dict(account: Record, live: LivePost) -> Record:
    entry = live.entry
    pin = fill(
        TABLE["answers"]["pin"],
        entry=entry,
        extra=entry["extra"],
        account=account,
        created=entry["at"][:19],
        creative_type=TABLE["creative_types"][entry["kind"]],
        is_standard=entry["kind"] == "image",
    )
    return pin | {"media": _media_to_dict(entry)}


def _media_to_dict(entry: Record) -> Record:
    """Return the media of a pin: the cards of a carousel as items, a video's duration in milliseconds."""
    shown: Record = {"media_type": TABLE["media_types"][entry["kind"]]}
    if entry["kind"] == "carousel":
        return shown | {"items": [{"item_type": "image"} for _ in entry["media"]]}
    if entry["kind"] == "video":
        return shown | {"duration": round(entry["media"][0]["duration"] * 1000)}
    return shown


def _list(call: Call, account: Record, **place: str | None) -> web.Response:
    """Return the account's pins whose extra fields are those of *place*."""
    rows = [
        _pin_to_dict(account, live)
        for live in call.list_live(account["remote_id"])
        if place.items() <= live.entry["extra"].items()
    ]
    return api.ok(api.paginate(call, rows), account)


async def list_on_board(call: Call, account: Record) -> web.Response:
    """GET /v5/boards/{board}/pins: newest first, without those in its sections."""
    board = api.get_board(call, account, call.request.match_info["board"])
    return _list(call, account, board_id=board["key"], board_section_id=None)


async def list_in_section(call: Call, account: Record) -> web.Response:
    """GET /v5/boards/{board}/sections/{section}/pins: newest first."""
    board, section = (
        api.get_board(call, account, call.request.match_info["board"]),
        call.request.match_info["section"],
    )
    api.require_section(call, board, section)
    return _list(call, account, board_id=board["key"], board_section_id=section)


async def list_pins(call: Call) -> web.Response:
    """GET /v5/pins: newest first."""
    return _list(call, api.authenticate_reader(call, "pins:read"))


def _get_own(call: Call, account: Record) -> LivePost:
    live = call.find_live(call.request.match_info["pin"])
    if live is None or live.entry["account"] != account["remote_id"]:
        raise refuse("unknown_pin")
    return live


async def read(call: Call, account: Record) -> web.Response:
    """GET /v5/pins/{pin}."""
    return api.ok(_pin_to_dict(account, _get_own(call, account)), account)


async def delete(call: Call, account: Record) -> web.Response:
    """DELETE /v5/pins/{pin}."""
    call.delete_live(_get_own(call, account))
    return web.Response(status=204)


def _check_source(given: Record | None) -> None:
    """Raise Refused unless the source of a pin is of a kind that is served, with that kind's fields."""
    if given is None:
        raise refuse("no_source")
    if (kind := given.get("source_type")) not in TABLE["sources"]:
        raise refuse("source_type", other=repr(kind))
    api.DIALECT.check_types(str(kind), given, "media_source")


async def _resolve_source(call: Call, account: Record, given: Record) -> tuple[str, list[Record]]:
    """Return the pin's kind and the ledger's description of its media; raises Refused."""
    kind = str(TABLE["sources"][given["source_type"]])
    if kind == "image":
        return kind, [(await _check_image(call, given))[0]]
    if kind == "carousel":
        return kind, await _check_images(call, given)
    return kind, [await _get_video(call, account, given)]


async def _check_images(call: Call, given: Record) -> list[Record]:
    check_fields(given, TABLE["carousel"], refuse)
    items = given["items"]
    if given.get("index", 0) >= len(items):
        raise refuse("index")
    found = [await _check_image(call, item) for item in items]
    if len({size for _, size in found}) > 1:
        raise refuse("dimensions")
    return [file for file, _ in found]


async def _check_image(call: Call, given: Record) -> tuple[Record, tuple[int, int]]:
    """Return the ledger's description of an image, and its width and height; raises Refused."""
    check_fields(given, TABLE["image_url"], refuse)
    rules = TABLE["media"]["image"]
    found = await examine_url(
        call.context, api.PLATFORM, given["url"], _IMAGE_BYTES, rules, "unreachable", is_video=False
    )
    if found.error is not None:
        raise refuse(found.error)
    return found.media[0], (found.facts.width, found.facts.height)


async def _get_video(call: Call, account: Record, given: Record) -> Record:
    check_fields(given, TABLE["video"], refuse)
    record = call.get_own(api.MEDIA, given["media_id"], account, "no_such_media")
    if record["state"] != "succeeded":
        raise refuse("media_not_ready", state=record["state"])
    covers = [name for name in _COVERS if given.get(name) is not None]
    if len(covers) != 1:
        raise refuse("one_cover")
    check_fields(given, TABLE["cover"], refuse)
    if covers == ["cover_image_url"]:
        await _check_image(call, {"url": given["cover_image_url"]})
    found: Record = record["media"]
    return found


_ROUTES = (
    *read_routes(TABLE["routes"], api=api, pins=sys.modules[__name__]),
    api.TOKENS.route("/pinterest/v5/oauth/token"),
    api.CONSENT.route("/pinterest-www/oauth/"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Pinterest on `app`."""
    kind = AccountKind(provision=lambda account: api.provision(context, account), **TABLE["account"])
    context.accounts.define(api.PLATFORM, kind)
    context.processing.define(api.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
