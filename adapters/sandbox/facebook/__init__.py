"""Facebook Pages on Meta's Graph API v25, as documented on 2026-11-24."""

from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.endpoint import mount
from adapters.sandbox.facebook import feed, oauth, photo, post, reel, upload, user, video, video_object
from adapters.sandbox.facebook.dialect import PLATFORM
from adapters.sandbox.graph_dialect import read_url_token

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_HOST = "facebook"
_PAGE_EDGES = (
    ("POST", "photos", photo.CREATE),
    ("POST", "feed", feed.CREATE),
    ("GET", "feed", feed.LIST),
    ("GET", "posts", feed.LIST),
    ("GET", "published_posts", feed.LIST),
    ("POST", "video_reels", reel.PHASES),
    ("GET", "video_reels", feed.REELS),
    ("POST", "videos", video.CREATE),
    ("GET", "videos", feed.VIDEOS),
)
_NODES = (
    (post.KIND, "GET", post.READ),
    (post.KIND, "POST", post.UPDATE),
    (post.KIND, "DELETE", post.DELETE),
    (photo.KIND, "DELETE", photo.DELETE),
    (video_object.KIND, "GET", video.READ),
    (video_object.KIND, "POST", video.UPDATE),
    (video_object.KIND, "DELETE", video.DELETE),
)
_PATHS = (
    ("GET", "oauth", "access_token", oauth.TOKEN),
    ("POST", "oauth", "access_token", oauth.TOKEN),
    ("GET", "debug_token", "", oauth.DEBUG),
    ("GET", "dialog", "oauth", oauth.CONSENT),
    ("POST", "dialog", "oauth", oauth.CONSENT),
)


def register(app: web.Application, context: "SandboxContext") -> None:
    """Serve Pages on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: random_digits(15, "1"),
            scopes=user.SCOPES[:3],
            connection="page",
            access_prefix="EAA",
            access_life=None,
        ),
    )
    context.processing.define(video_object.KIND, video_object.make_processor(context))
    _add_routes(context)
    context.graph.mount(app, _HOST)
    mount(app, context, "POST", "/rupload/video-upload/{version}/{video}", upload.RECEIVE)
    mount(app, context, "POST", "/rupload/video-upload/{video}", upload.RECEIVE)


def _add_routes(context: "SandboxContext") -> None:
    def is_page(node: str, request: web.Request) -> bool:
        return _is_me(node, request) or context.accounts.find(PLATFORM, node) is not None

    def _is_me(node: str, request: web.Request) -> bool:
        if node == user.USER_ID:
            return True
        return node == "me" and context.accounts.find_token(PLATFORM, read_url_token(request)) is not None

    for method, node, edge, endpoint in _PATHS:
        context.graph.add_route(_HOST, method, edge, endpoint, _match_name(node))
    for method, edge, endpoint in _PAGE_EDGES:
        context.graph.add_route(_HOST, method, edge, endpoint, is_page)
    context.graph.add_route(_HOST, "GET", "accounts", user.ACCOUNTS, _is_me)
    context.graph.add_route(_HOST, "GET", "permissions", user.PERMISSIONS, _is_me)
    context.graph.add_route(_HOST, "GET", "", user.ME, _is_me)
    context.graph.add_route(_HOST, "GET", "", user.PAGE, is_page)
    for kind, method, endpoint in _NODES:
        context.graph.add_route(_HOST, method, "", endpoint, _match_record(context, kind))


def _match_name(name: str) -> "_Owns":
    return lambda node, _: node == name


def _match_record(context: "SandboxContext", kind: str) -> "_Owns":
    return lambda node, _: context.store.get(kind, node) is not None


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Owns: TypeAlias = Callable[[str, web.Request], bool]
