"""Instagram's Content Publishing API v25, on both of its hosts, as documented on 2026-11-24."""

from collections.abc import Callable

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.graph import DIALECT, read_url_token
from adapters.sandbox.graph_router import match_name
from adapters.sandbox.instagram import container, create, oauth, publish, read
from adapters.sandbox.instagram.container import KIND, PLATFORM

_ACCOUNT_EDGES = (
    Route("POST", "media", "prepare", create.create, create.refuse_quota),
    Route("GET", "media", "read", read.list_media),
    Route("GET", "stories", "read", read.list_stories),
    Route("POST", "media_publish", "finalize", publish.publish, publish.refuse_quota),
    Route("GET", "content_publishing_limit", "quota", publish.read_limit),
    Route("GET", "", "read", read.read_account),
)
_LOGIN = (
    (match_name("refresh_access_token"), Route("GET", "", "refresh", oauth.refresh)),
    (match_name("access_token"), Route("GET", "", "oauth", oauth.exchange)),
    (match_name("oauth"), oauth.CONSENT.route("authorize")),
    (match_name("oauth"), oauth.TOKENS.route("access_token", step="oauth")),
)
"""Instagram Login, on Instagram's own host only."""
_UPLOAD = container.UPLOAD.route("/rupload/ig-api-upload/{version}/{container}")


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Instagram on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(new_id=lambda _: random_digits(17, "1784"), **container.TABLE["account"]),
    )
    context.processing.define_task(container.TASK)
    for host in ("instagram", "facebook"):
        owns = _make_account_test(context, host)
        rows = [(owns, route) for route in _ACCOUNT_EDGES]
        rows.append(
            (
                lambda node, _: context.store.get(KIND, node) is not None,
                Route("GET", "", "look", read.read_container),
            )
        )
        rows.append(
            (
                lambda node, _: context.ledger.find(PLATFORM, node) is not None,
                Route("GET", "", "read", read.read_media),
            )
        )
        context.graph.add_routes(host, PLATFORM, DIALECT, rows)
        context.graph.mount(app, host)
    context.graph.add_routes("instagram", PLATFORM, DIALECT, _LOGIN)
    mount_routes(app, context, PLATFORM, DIALECT, (_UPLOAD,))


def _make_account_test(context: SandboxContext, host: str) -> Callable[[str, web.Request], bool]:
    def is_account(node: str, request: web.Request) -> bool:
        if node != "me":
            return context.accounts.find(PLATFORM, node) is not None
        if host == "instagram":
            return True
        return context.accounts.find_token(PLATFORM, read_url_token(request)) is not None

    return is_account
