"""Pinterest's API v5, and the storage that receives its videos, as documented on 2026-11-24."""

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.pinterest import api, board, media, pin

_ROOT = "/pinterest/v5"
_ROUTES = (
    api.TOKENS.route(f"{_ROOT}/oauth/token"),
    Route("GET", f"{_ROOT}/user_account", "read", board.read_user),
    Route("POST", f"{_ROOT}/boards", "prepare", board.create),
    Route("GET", f"{_ROOT}/boards", "read", board.list_boards),
    Route("GET", f"{_ROOT}/boards/{{board}}", "read", board.read),
    Route("GET", f"{_ROOT}/boards/{{board}}/pins", "look", pin.list_on_board),
    Route("POST", f"{_ROOT}/media", "prepare", media.register, api.refuse_day),
    Route("GET", f"{_ROOT}/media", "read", media.list_media),
    Route("GET", f"{_ROOT}/media/{{media}}", "look", media.read),
    Route(
        "POST",
        "/pinterest-media/{media}/",
        "upload",
        media.receive,
        owner=media.find_owner,
        dialect=media.STORAGE_DIALECT,
        is_streamed=True,
    ),
    Route("POST", f"{_ROOT}/pins", "finalize", pin.create, api.refuse_day),
    Route("GET", f"{_ROOT}/pins", "look", pin.list_pins),
    Route("GET", f"{_ROOT}/pins/{{pin}}", "look", pin.read),
    Route("DELETE", f"{_ROOT}/pins/{{pin}}", "cancel", pin.delete),
    api.CONSENT.route("/pinterest-www/oauth/"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Pinterest on `app`."""
    context.accounts.define(
        api.PLATFORM,
        AccountKind(
            new_id=lambda _: random_digits(18, "5497"),
            provision=lambda account: board.provision(context, account),
            **api.TABLE["account"],
        ),
    )
    context.processing.define_task(media.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
