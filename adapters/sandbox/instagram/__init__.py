"""Instagram's Content Publishing API v25, on both of its hosts, as documented on 2026-11-24."""

from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.endpoint import mount
from adapters.sandbox.graph_dialect import read_url_token
from adapters.sandbox.instagram import container, create, oauth, publish, read, upload
from adapters.sandbox.instagram.container import KIND, PLATFORM
from adapters.sandbox.rate_windows import DAY

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_HOSTS = ("instagram", "facebook")
_ACCOUNT_EDGES = (
    ("POST", "media", create.CREATE),
    ("GET", "media", read.LIST),
    ("GET", "stories", read.STORIES),
    ("POST", "media_publish", publish.PUBLISH),
    ("GET", "content_publishing_limit", publish.LIMIT),
    ("GET", "", read.ACCOUNT),
)


def register(app: web.Application, context: "SandboxContext") -> None:
    """Serve Instagram on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: random_digits(17, "1784"),
            scopes=("instagram_business_basic", "instagram_business_content_publish"),
            connection="instagram_login",
            access_prefix="IGAA",
            access_life=oauth.LIFE_S,
            initial_age=2 * DAY,  # old enough to be refreshed at once
        ),
    )
    context.processing.define(KIND, container.make_processor(context))
    for host in _HOSTS:
        _add_routes(context, host)
        context.graph.mount(app, host)
    mount(app, context, "POST", "/rupload/ig-api-upload/{version}/{container}", upload.RECEIVE)


def _add_routes(context: "SandboxContext", host: str) -> None:
    def is_account(node: str, request: web.Request) -> bool:
        if node != "me":
            return context.accounts.find(PLATFORM, node) is not None
        return host == "instagram" or _is_instagram_token(context, request)

    for method, edge, endpoint in _ACCOUNT_EDGES:
        context.graph.add_route(host, method, edge, endpoint, is_account)
    context.graph.add_route(
        host, "GET", "", read.CONTAINER, lambda node, _: context.store.get(KIND, node) is not None
    )
    context.graph.add_route(
        host, "GET", "", read.MEDIA, lambda node, _: context.ledger.find(PLATFORM, node) is not None
    )
    if host == "instagram":
        context.graph.add_route(
            host, "GET", "", oauth.REFRESH, lambda node, _: node == "refresh_access_token"
        )
        context.graph.add_route(host, "GET", "", oauth.EXCHANGE, lambda node, _: node == "access_token")
        context.graph.add_route(host, "GET", "authorize", oauth.CONSENT, lambda node, _: node == "oauth")
        context.graph.add_route(host, "POST", "authorize", oauth.CONSENT, lambda node, _: node == "oauth")
        context.graph.add_route(host, "POST", "access_token", oauth.TOKEN, lambda node, _: node == "oauth")


def _is_instagram_token(context: "SandboxContext", request: web.Request) -> bool:
    return context.accounts.find_token(PLATFORM, read_url_token(request)) is not None
