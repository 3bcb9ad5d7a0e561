"""Fake of the TikTok API for Business v1.3 (owned accounts) and www.tiktok.com/oembed, as of 2026-11-24."""

import secrets

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.tiktok_business import api, music, oauth, publish, read
from adapters.sandbox.tiktok_business import property as url_property

_ROOT = "/tiktok-business/open_api/v1.3"
_USER, _BUSINESS = f"{_ROOT}/tt_user", f"{_ROOT}/business"
_ROUTES = (
    oauth.TOKEN.route(f"{_USER}/oauth2/token/", step="oauth"),
    oauth.REFRESH.route(f"{_USER}/oauth2/refresh_token/", step="refresh"),
    oauth.TOKEN.route(f"{_USER}/oauth2/revoke/", handle=oauth.revoke),
    oauth.TOKEN.route(f"{_USER}/token_info/get/", handle=oauth.read_token_info),
    Route("GET", f"{_BUSINESS}/get/", "read", read.read_profile),
    Route(
        "GET",
        f"{_BUSINESS}/video/settings/",
        "creator_info",
        read.read_settings,
        lambda _: api.error_response(api.BAD_PARAMETER, "spam_risk_too_many_posts"),
    ),
    Route("POST", f"{_BUSINESS}/video/publish/", "finalize", publish.publish_video, publish.refuse_quota),
    Route("POST", f"{_BUSINESS}/photo/publish/", "finalize", publish.publish_photo, publish.refuse_quota),
    Route("GET", f"{_BUSINESS}/publish/status/", "look", read.read_status),
    Route("GET", f"{_BUSINESS}/video/list/", "read", read.list_videos),
    Route("GET", f"{_ROOT}/discovery/cml/trending_list/", "resolve_music", music.list_trending),
    Route("GET", f"{_ROOT}/discovery/cml/video_list/", "resolve_music", music.list_videos),
    Route("POST", f"{_BUSINESS}/property/add/", "oauth", url_property.add),
    Route("POST", f"{_BUSINESS}/property/verify/", "oauth", url_property.verify),
    Route("POST", f"{_BUSINESS}/property/delete/", "oauth", url_property.delete),
    Route("GET", f"{_BUSINESS}/property/list/", "oauth", url_property.list_properties),
)
# Both products use this endpoint, so faults of both platforms apply.
_OEMBED = Route(
    "GET",
    "/tiktok-www/oembed",
    "resolve_music",
    music.read_oembed,
    dialect=music.OEMBED_DIALECT,
    also_faults_of=(api.PLATFORM,),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve TikTok for Business and oEmbed on `app`."""
    context.accounts.define(
        api.PLATFORM,
        AccountKind(new_id=lambda _: f"-000{secrets.token_urlsafe(24)}", **api.TABLE["account"]),
    )
    context.processing.define_task(publish.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
    mount_routes(app, context, "tiktok", music.OEMBED_DIALECT, (_OEMBED,))
