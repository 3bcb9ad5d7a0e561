"""Fake of the TikTok API for Business v1.3 (owned accounts) and www.tiktok.com/oembed, as of 2026-11-24."""

import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.endpoint import mount
from adapters.sandbox.tiktok_business import charts, oauth, oembed, publish, read, share
from adapters.sandbox.tiktok_business import property as url_property
from adapters.sandbox.tiktok_business.dialect import PLATFORM

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_DAY_S = 86_400.0
_ROOT = "/tiktok-business/open_api/v1.3"
_PATHS = (
    ("POST", "/tt_user/oauth2/token/", oauth.TOKEN),
    ("POST", "/tt_user/oauth2/refresh_token/", oauth.REFRESH),
    ("POST", "/tt_user/oauth2/revoke/", oauth.REVOKE),
    ("POST", "/tt_user/token_info/get/", oauth.TOKEN_INFO),
    ("GET", "/business/get/", read.PROFILE),
    ("GET", "/business/video/settings/", read.SETTINGS),
    ("POST", "/business/video/publish/", publish.VIDEO),
    ("POST", "/business/photo/publish/", publish.PHOTO),
    ("GET", "/business/publish/status/", read.STATUS),
    ("GET", "/business/video/list/", read.VIDEO_LIST),
    ("GET", "/discovery/cml/trending_list/", charts.TRENDING),
    ("GET", "/discovery/cml/video_list/", charts.VIDEOS),
    ("POST", "/business/property/add/", url_property.ADD),
    ("POST", "/business/property/verify/", url_property.VERIFY),
    ("POST", "/business/property/delete/", url_property.DELETE),
    ("GET", "/business/property/list/", url_property.LIST),
)


def register(app: web.Application, context: "SandboxContext") -> None:
    """Serve TikTok for Business and oEmbed on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=lambda _: f"-000{secrets.token_urlsafe(24)}",
            scopes=(
                "user.info.basic",
                "user.info.username",
                "video.list",
                "video.publish",
                "video.upload",
                "user.account.type",
                "video.insights",
            ),
            connection="business",
            access_prefix="act.",
            access_life=_DAY_S,
            refresh_prefix="rft.",
            refresh_life=365 * _DAY_S,
        ),
    )
    context.processing.define(share.KIND, share.make_processor(context))
    for method, path, endpoint in _PATHS:
        mount(app, context, method, _ROOT + path, endpoint)
    mount(app, context, "GET", "/tiktok-www/oembed", oembed.OEMBED)
