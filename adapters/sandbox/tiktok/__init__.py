"""Fake of TikTok's Content Posting API v2, as documented on 2026-11-24."""

import secrets

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.tiktok import dialect, publish, read, task
from adapters.sandbox.tiktok.dialect import DIALECT, PLATFORM, TOKENS, error_response

_POST = "/tiktok/v2/post/publish"
_ROUTES = (
    TOKENS.route("/tiktok/v2/oauth/token/"),
    Route(
        "POST",
        "/tiktok/v2/oauth/revoke/",
        "oauth",
        dialect.revoke,
        owner=TOKENS.find_owner,
        dialect=TOKENS.dialect,
    ),
    dialect.CONSENT.route("/tiktok-www/v2/auth/authorize/"),
    Route(
        "POST",
        f"{_POST}/creator_info/query/",
        "creator_info",
        read.read_creator_info,
        # Spam risk comes with HTTP 200 here, "intentionally" (creator info reference, 2026-11-24).
        lambda _: error_response("spam_risk_too_many_posts", status=200),
    ),
    Route(
        "POST",
        f"{_POST}/video/init/",
        publish.get_init_step,
        publish.init_direct,
        lambda _: error_response("spam_risk_too_many_posts"),
    ),
    Route(
        "POST",
        f"{_POST}/inbox/video/init/",
        publish.get_init_step,
        publish.init_inbox,
        lambda _: error_response("spam_risk_too_many_pending_share"),
    ),
    Route("POST", f"{_POST}/content/init/", "finalize", publish.init_photos, publish.refuse_photo_quota),
    Route("POST", f"{_POST}/status/fetch/", "look", read.read_status),
    Route("POST", f"{_POST}/cancel/", "cancel", read.cancel),
    Route("POST", "/tiktok/v2/video/list/", "read", read.list_videos),
    Route("GET", "/tiktok/v2/user/info/", "read", read.read_user_info),
    Route(
        "PUT",
        "/tiktok-upload/video/",
        task.get_chunk_step,
        task.put_chunk,
        owner=task.find_upload_owner,
        dialect=task.UPLOAD_DIALECT,
        is_streamed=True,
    ),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve TikTok on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: f"_000{secrets.token_urlsafe(24)}",
            scopes=("user.info.basic", "video.publish", "video.upload", "video.list"),
            connection="creator",
            access_prefix="act.",
            access_life=DAY,
            refresh_prefix="rft.",
            refresh_life=365 * DAY,
        ),
    )
    context.processing.define_task(task.TASK)
    mount_routes(app, context, PLATFORM, DIALECT, _ROUTES)
