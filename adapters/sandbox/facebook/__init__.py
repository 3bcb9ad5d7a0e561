"""Facebook Pages on Meta's Graph API v25, as documented on 2026-11-24."""

from collections.abc import Callable

from aiohttp import web

from adapters.sandbox import rupload
from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, get_no_owner, mount_routes
from adapters.sandbox.facebook import feed, post, user, video, video_object
from adapters.sandbox.facebook.dialect import DIALECT, PLATFORM, make_step, quota_response
from adapters.sandbox.graph_dialect import read_url_token
from adapters.sandbox.graph_router import match_name

_HOST = "facebook"
_IF_PUBLISHED = make_step("published", default=True)
_PAGE_EDGES = (
    Route("POST", "photos", _IF_PUBLISHED, post.create_photo, quota_response),
    Route("POST", "feed", _IF_PUBLISHED, feed.create, quota_response),
    Route("GET", "feed", "look", feed.list_posts),
    Route("GET", "posts", "look", feed.list_posts),
    Route("GET", "published_posts", "look", feed.list_posts),
    Route("POST", "video_reels", video.get_reel_step, video.run_reel_phase, quota_response),
    Route("GET", "video_reels", "look", feed.make_list("reel")),
    Route("POST", "videos", video.get_create_step, video.create, quota_response),
    Route("GET", "videos", "look", feed.make_list("video")),
)
_USER_EDGES = (
    Route("GET", "accounts", "oauth", user.list_pages),
    Route("GET", "permissions", "oauth", user.list_permissions),
    Route("GET", "", "read", user.read_me),
)
_NODES = (
    (post.KIND, Route("GET", "", "look", post.read)),
    (
        post.KIND,
        Route("POST", "", make_step("is_published", default=False), post.update, quota_response),
    ),
    (post.KIND, Route("DELETE", "", "cancel", post.delete)),
    (post.PHOTO_KIND, Route("DELETE", "", "cancel", post.delete_photo)),
    (video_object.KIND, Route("GET", "", "look", video.read)),
    (
        video_object.KIND,
        Route("POST", "", make_step("published", default=False), video.update, quota_response),
    ),
    (video_object.KIND, Route("DELETE", "", "cancel", video.delete)),
)
_LOGIN = (
    (
        match_name("oauth"),
        Route("GET POST", "access_token", user.get_token_step, user.issue_token, owner=user.find_token_owner),
    ),
    (match_name("debug_token"), Route("GET", "", "oauth", user.debug_token, owner=get_no_owner)),
    (match_name("dialog"), user.CONSENT.route("oauth")),
)
_UPLOADS = (
    Route(
        "POST",
        "/rupload/video-upload/{version}/{video}",
        "upload",
        video_object.UPLOAD.receive,
        is_streamed=True,
    ),
    Route("POST", "/rupload/video-upload/{video}", "upload", video_object.UPLOAD.receive, is_streamed=True),
)


def register(app: web.Application, context: SandboxContext) -> None:
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
    context.processing.define_task(video_object.TASK)

    def is_me(node: str, request: web.Request) -> bool:
        if node == user.USER_ID:
            return True
        return node == "me" and context.accounts.find_token(PLATFORM, read_url_token(request)) is not None

    def is_page(node: str, request: web.Request) -> bool:
        return is_me(node, request) or context.accounts.find(PLATFORM, node) is not None

    rows = [
        *_LOGIN,
        *((is_page, route) for route in _PAGE_EDGES),
        *((is_me, route) for route in _USER_EDGES),
        (is_page, Route("GET", "", "read", user.read_page)),
        *((_match_record(context, kind), route) for kind, route in _NODES),
    ]
    context.graph.add_routes(_HOST, PLATFORM, DIALECT, rows)
    context.graph.mount(app, _HOST)
    mount_routes(app, context, PLATFORM, rupload.DIALECT, _UPLOADS)


def _match_record(context: SandboxContext, kind: str) -> Callable[[str, web.Request], bool]:
    return lambda node, _: context.store.get(kind, node) is not None
