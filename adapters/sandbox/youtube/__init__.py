"""YouTube's Data API v3 with resumable uploads, and Google's OAuth, as documented on 2026-11-24."""

import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.endpoint import mount
from adapters.sandbox.youtube import oauth, read, session, thumbnail, video
from adapters.sandbox.youtube.dialect import PLATFORM, READONLY, UPLOAD

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_PATHS = (
    ("POST", "/youtube/upload/youtube/v3/videos", session.START),
    ("PUT", "/youtube/upload/youtube/v3/videos", session.PUT),
    ("POST", "/youtube/resumable/upload/youtube/v3/videos", session.START),
    ("PUT", "/youtube/resumable/upload/youtube/v3/videos", session.PUT),
    ("POST", "/youtube/upload/youtube/v3/thumbnails/set", thumbnail.SET),
    ("GET", "/youtube/youtube/v3/videos", read.VIDEOS),
    ("GET", "/youtube/youtube/v3/channels", read.CHANNELS),
    ("GET", "/youtube/youtube/v3/playlistItems", read.PLAYLIST_ITEMS),
    ("POST", "/google-oauth/token", oauth.TOKEN),
    ("POST", "/google-oauth/revoke", oauth.REVOKE),
    ("GET", "/google-accounts/o/oauth2/v2/auth", oauth.CONSENT),
    ("POST", "/google-accounts/o/oauth2/v2/auth", oauth.CONSENT),
)


def register(app: web.Application, context: "SandboxContext") -> None:
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
    context.processing.define(video.KIND, video.make_processor(context))
    for method, path, endpoint in _PATHS:
        mount(app, context, method, path, endpoint)
