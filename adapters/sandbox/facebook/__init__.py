"""Facebook Pages on Meta's Graph API v25, as documented on 2026-11-24."""

from collections.abc import Callable

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, get_no_owner, mount_routes
from adapters.sandbox.facebook import api, feed, post, user, video, video_object
from adapters.sandbox.graph_router import match_name

_HOST = "facebook"
_IF_PUBLISHED = api.make_step("published", default=True)
_IF_POST_PUBLISHED = api.make_step("is_published", default=False)
_IF_VIDEO_PUBLISHED = api.make_step("published", default=False)
_PAGE_EDGES = (
    Route("POST", "photos", _IF_PUBLISHED, post.create_photo, api.quota_response),
    Route("POST", "feed", _IF_PUBLISHED, feed.create, api.quota_response),
    Route("GET", "feed", "look", feed.list_posts),
    Route("GET", "posts", "look", feed.list_posts),
    Route("GET", "published_posts", "look", feed.list_posts),
    Route("POST", "video_reels", video.get_reel_step, video.run_reel_phase, api.quota_response),
    Route("GET", "video_reels", "look", feed.make_list("reel")),
    Route("POST", "videos", video.get_create_step, video.create, api.quota_response),
    Route("GET", "videos", "look", feed.make_list("video")),
)
_USER_EDGES = (
    Route("GET", "accounts", "oauth", user.list_pages),
    Route("GET", "permissions", "oauth", user.list_permissions),
    Route("GET", "", "read", user.read_me),
)
_NODES = (
    (post.KIND, Route("GET", "", "look", post.read)),
    (post.KIND, Route("POST", "", _IF_POST_PUBLISHED, post.update, api.quota_response)),
    (post.KIND, Route("DELETE", "", "cancel", post.delete)),
    (post.PHOTO_KIND, Route("DELETE", "", "cancel", post.delete_photo)),
    (video_object.KIND, Route("GET", "", "look", video.read)),
    (video_object.KIND, Route("POST", "", _IF_VIDEO_PUBLISHED, video.update, api.quota_response)),
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
    video_object.UPLOAD.route("/rupload/video-upload/{version}/{video}"),
    video_object.UPLOAD.route("/rupload/video-upload/{video}"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Pages on `app`."""
    context.accounts.define(
        api.PLATFORM,
        AccountKind(new_id=lambda _: random_digits(15, "1"), **graph.TABLE["account"]),
    )
    context.processing.define_task(video_object.TASK)

    def is_me(node: str, request: web.Request) -> bool:
        if node == user.USER_ID:
            return True
        return (
            node == "me"
            and context.accounts.find_token(api.PLATFORM, graph.read_url_token(request)) is not None
        )

    def is_page(node: str, request: web.Request) -> bool:
        return is_me(node, request) or context.accounts.find(api.PLATFORM, node) is not None

    rows = [
        *_LOGIN,
        *((is_page, route) for route in _PAGE_EDGES),
        *((is_me, route) for route in _USER_EDGES),
        (is_page, Route("GET", "", "read", user.read_page)),
        *((_match_record(context, kind), route) for kind, route in _NODES),
    ]
    context.graph.add_routes(_HOST, api.PLATFORM, api.DIALECT, rows)
    context.graph.mount(app, _HOST)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _UPLOADS)


def _match_record(context: SandboxContext, kind: str) -> Callable[[str, web.Request], bool]:
    return lambda node, _: context.store.get(kind, node) is not None
