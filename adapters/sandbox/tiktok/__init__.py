"""Fake of TikTok's Content Posting API v2, as documented on 2026-11-24."""

import secrets

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.tiktok import api, publish, read, task

_POST = "/tiktok/v2/post/publish"
_TOO_MANY_POSTS = api.exhaust("spam_risk_too_many_posts")
_TOO_MANY_DRAFTS = api.exhaust("spam_risk_too_many_pending_share")
_ROUTES = (
    api.TOKENS.route("/tiktok/v2/oauth/token/"),
    api.TOKENS.route("/tiktok/v2/oauth/revoke/", handle=api.revoke),
    api.CONSENT.route("/tiktok-www/v2/auth/authorize/"),
    Route(
        "POST",
        f"{_POST}/creator_info/query/",
        "creator_info",
        read.read_creator_info,
        # Spam risk comes with HTTP 200 here, "intentionally" (creator info reference, 2026-11-24).
        api.exhaust("spam_risk_too_many_posts", status=200),
    ),
    Route("POST", f"{_POST}/video/init/", publish.get_init_step, publish.init_direct, _TOO_MANY_POSTS),
    Route("POST", f"{_POST}/inbox/video/init/", publish.get_init_step, publish.init_inbox, _TOO_MANY_DRAFTS),
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
        api.PLATFORM,
        AccountKind(new_id=lambda _: f"_000{secrets.token_urlsafe(24)}", **api.TABLE["account"]),
    )
    context.processing.define_task(task.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
