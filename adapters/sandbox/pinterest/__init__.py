"""Pinterest's API v5, and the storage that receives its videos, as documented on 2026-11-24."""

from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.endpoint import mount
from adapters.sandbox.pinterest import board, media, oauth, pin
from adapters.sandbox.pinterest.dialect import PLATFORM
from adapters.sandbox.rate_windows import DAY

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_ROOT = "/pinterest/v5"
_PATHS = (
    ("POST", f"{_ROOT}/oauth/token", oauth.TOKEN),
    ("GET", f"{_ROOT}/user_account", board.USER),
    ("POST", f"{_ROOT}/boards", board.CREATE),
    ("GET", f"{_ROOT}/boards", board.LIST),
    ("GET", f"{_ROOT}/boards/{{board}}", board.READ),
    ("GET", f"{_ROOT}/boards/{{board}}/pins", pin.ON_BOARD),
    ("POST", f"{_ROOT}/media", media.REGISTER),
    ("GET", f"{_ROOT}/media", media.LIST),
    ("GET", f"{_ROOT}/media/{{media}}", media.READ),
    ("POST", "/pinterest-media/{media}/", media.RECEIVE),
    ("POST", f"{_ROOT}/pins", pin.CREATE),
    ("GET", f"{_ROOT}/pins", pin.LIST),
    ("GET", f"{_ROOT}/pins/{{pin}}", pin.READ),
    ("DELETE", f"{_ROOT}/pins/{{pin}}", pin.DELETE),
    ("GET", "/pinterest-www/oauth/", oauth.CONSENT),
    ("POST", "/pinterest-www/oauth/", oauth.CONSENT),
)


def register(app: web.Application, context: "SandboxContext") -> None:
    """Serve Pinterest on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: random_digits(18, "5497"),
            scopes=("boards:read", "boards:write", "pins:read", "pins:write", "user_accounts:read"),
            connection="user",
            access_prefix="pina_",
            access_life=30 * DAY,
            refresh_prefix="pinr.",
            refresh_life=60 * DAY,
            provision=lambda account: board.provision(context, account),
        ),
    )
    context.processing.define(media.KIND, media.make_processor(context))
    for method, path, endpoint in _PATHS:
        mount(app, context, method, path, endpoint)
