"""LinkedIn's versioned REST API with its uploads, and its OAuth, as documented on 2026-11-24."""

import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.endpoint import mount
from adapters.sandbox.linkedin import asset, members, oauth, post, upload
from adapters.sandbox.linkedin.dialect import ORGANIZATION, PERSON, PLATFORM, SCOPES, WRITE
from adapters.sandbox.rate_windows import DAY

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_PATHS = (
    ("POST", "/linkedin/rest/images", asset.IMAGES),
    ("GET", "/linkedin/rest/images/{urn}", asset.READ),
    ("POST", "/linkedin/rest/videos", asset.VIDEOS),
    ("GET", "/linkedin/rest/videos/{urn}", asset.READ),
    ("PUT", "/linkedin/dms-uploads/{place}/{number:\\d{1,6}|thumbnail}", upload.PUT),
    ("POST", "/linkedin/rest/posts", post.CREATE),
    ("GET", "/linkedin/rest/posts", post.LIST),
    ("GET", "/linkedin/rest/posts/{urn}", post.READ),
    ("DELETE", "/linkedin/rest/posts/{urn}", post.DELETE),
    ("GET", "/linkedin/rest/organizationAcls", members.ACLS),
    ("GET", "/linkedin/rest/organizations", members.ORGANIZATIONS),
    ("GET", "/linkedin/rest/organizations/{id:\\d+}", members.ORGANIZATION_NODE),
    ("GET", "/linkedin/v2/userinfo", members.USERINFO),
    ("GET", "/linkedin/v2/me", members.ME),
    ("GET", "/linkedin-www/oauth/v2/authorization", oauth.CONSENT),
    ("POST", "/linkedin-www/oauth/v2/authorization", oauth.CONSENT),
    ("POST", "/linkedin-www/oauth/v2/accessToken", oauth.TOKEN),
)


def _is_organization(options: "Record") -> bool:
    return options.get("kind") == "organization"


def _list_scopes(options: "Record") -> tuple[str, ...]:
    if _is_organization(options):
        return tuple(scope for scope in SCOPES if scope != WRITE[PERSON])
    return ("openid", "profile", WRITE[PERSON])


def _make_urn(options: "Record") -> str:
    if _is_organization(options):
        return ORGANIZATION + random_digits(8, "5")
    return PERSON + secrets.token_urlsafe(8)[:10].replace("-", "x").replace("_", "y")


def register(app: web.Application, context: "SandboxContext") -> None:
    """Serve LinkedIn on `app`."""
    context.accounts.define(
        PLATFORM,
        AccountKind(
            new_id=_make_urn,
            scopes=_list_scopes,
            connection=lambda options: "organization" if _is_organization(options) else "person",
            access_prefix="AQX",
            access_life=oauth.ACCESS_S,
            refresh_prefix="AQY",
            refresh_life=365 * DAY,
            has_refresh_token=lambda account: bool(account["options"].get("partner")),
        ),
    )
    context.processing.define(asset.KIND, asset.make_processor(context))
    for method, path, endpoint in _PATHS:
        mount(app, context, method, path, endpoint)
