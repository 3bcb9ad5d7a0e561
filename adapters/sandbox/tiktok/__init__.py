"""Fake of TikTok's Content Posting API v2, as documented on 2026-11-24."""

import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.endpoint import mount
from adapters.sandbox.tiktok import oauth, photo, read, task, upload, video
from adapters.sandbox.tiktok.dialect import PLATFORM

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_DAY_S = 86_400.0
_PATHS = (
    ("POST", "/tiktok/v2/oauth/token/", oauth.TOKEN),
    ("POST", "/tiktok/v2/oauth/revoke/", oauth.REVOKE),
    ("POST", "/tiktok/v2/post/publish/creator_info/query/", read.CREATOR_INFO),
    ("POST", "/tiktok/v2/post/publish/video/init/", video.DIRECT),
    ("POST", "/tiktok/v2/post/publish/inbox/video/init/", video.INBOX),
    ("POST", "/tiktok/v2/post/publish/content/init/", photo.INIT),
    ("POST", "/tiktok/v2/post/publish/status/fetch/", read.STATUS),
    ("POST", "/tiktok/v2/post/publish/cancel/", read.CANCEL),
    ("POST", "/tiktok/v2/video/list/", read.VIDEO_LIST),
    ("GET", "/tiktok/v2/user/info/", read.USER_INFO),
    ("PUT", "/tiktok-upload/video/", upload.PUT),
    ("GET", "/tiktok-www/v2/auth/authorize/", oauth.CONSENT),
    ("POST", "/tiktok-www/v2/auth/authorize/", oauth.CONSENT),
)


def register(app: web.Application, context: "SandboxContext") -> None:
    """Serve TikTok on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: f"_000{secrets.token_urlsafe(24)}",
            scopes=("user.info.basic", "video.publish", "video.upload", "video.list"),
            connection="creator",
            access_prefix="act.",
            access_life=_DAY_S,
            refresh_prefix="rft.",
            refresh_life=365 * _DAY_S,
        ),
    )
    context.processing.define(task.KIND, task.make_processor(context))
    for method, path, endpoint in _PATHS:
        mount(app, context, method, path, endpoint)
