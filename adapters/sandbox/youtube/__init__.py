"""YouTube's Data API v3 with resumable uploads, and Google's OAuth, as documented on 2026-11-24."""

import secrets

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.youtube import oauth, read, session, video
from adapters.sandbox.youtube.dialect import DIALECT, PLATFORM, READONLY, UPLOAD, refuse_quota

_UPLOADS = ("/youtube/upload/youtube/v3/videos", "/youtube/resumable/upload/youtube/v3/videos")
_API = "/youtube/youtube/v3"
_ROUTES = (
    *(Route("POST", path, "prepare", session.start, session.refuse_quota) for path in _UPLOADS),
    *(Route("PUT", path, session.get_step, session.put, is_streamed=True) for path in _UPLOADS),
    Route(
        "POST", "/youtube/upload/youtube/v3/thumbnails/set", "thumbnail", video.set_thumbnail, refuse_quota
    ),
    Route("GET", f"{_API}/videos", "look", read.list_videos, refuse_quota),
    Route("GET", f"{_API}/channels", "read", read.list_channels, refuse_quota),
    Route("GET", f"{_API}/playlistItems", "look", read.list_playlist_items, refuse_quota),
    oauth.TOKENS.route("/google-oauth/token"),
    Route(
        "POST",
        "/google-oauth/revoke",
        "oauth",
        oauth.revoke,
        owner=oauth.TOKENS.find_owner,
        dialect=oauth.TOKENS.dialect,
    ),
    oauth.CONSENT.route("/google-accounts/o/oauth2/v2/auth"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve YouTube on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: f"UC{secrets.token_urlsafe(16)}",
            scopes=(UPLOAD, READONLY),
            connection="channel",
            access_prefix="ya29.",
            access_life=oauth.ACCESS_S,
            refresh_prefix="1//",
        ),
    )
    context.processing.define_task(video.TASK)
    mount_routes(app, context, PLATFORM, DIALECT, _ROUTES)
