"""YouTube's Data API v3 with resumable uploads, and Google's OAuth, as documented on 2026-11-24."""

import secrets

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.youtube import api, oauth, read, session, video

_UPLOADS = ("/youtube/upload/youtube/v3/videos", "/youtube/resumable/upload/youtube/v3/videos")
_API = "/youtube/youtube/v3"
_ROUTES = (
    *(Route("POST", path, "prepare", session.start, session.refuse_quota) for path in _UPLOADS),
    *(Route("PUT", path, session.get_step, session.put, is_streamed=True) for path in _UPLOADS),
    Route(
        "POST",
        "/youtube/upload/youtube/v3/thumbnails/set",
        "thumbnail",
        video.set_thumbnail,
        api.refuse_quota,
    ),
    Route("GET", f"{_API}/videos", "look", read.list_videos, api.refuse_quota),
    Route("GET", f"{_API}/channels", "read", read.list_channels, api.refuse_quota),
    Route("GET", f"{_API}/playlistItems", "look", read.list_playlist_items, api.refuse_quota),
    oauth.TOKENS.route("/google-oauth/token"),
    oauth.TOKENS.route("/google-oauth/revoke", handle=oauth.revoke),
    oauth.CONSENT.route("/google-accounts/o/oauth2/v2/auth"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve YouTube on `app`."""
    context.accounts.define(
        api.PLATFORM,
        AccountKind(new_id=lambda _: f"UC{secrets.token_urlsafe(16)}", **api.TABLE["account"]),
    )
    context.processing.define_task(video.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
