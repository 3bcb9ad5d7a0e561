"""LinkedIn's versioned REST API with its uploads, and its OAuth, as documented on 2026-11-24."""

import secrets

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Route, mount_routes
from adapters.sandbox.linkedin import api, asset, members, post
from adapters.sandbox.store import Record

_REST = "/linkedin/rest"
_ROUTES = (
    Route("POST", f"{_REST}/images", "prepare", asset.create_image, api.refuse_day, asset.find_owner),
    Route("GET", f"{_REST}/images/{{urn}}", "look", asset.read),
    Route("POST", f"{_REST}/videos", "prepare", asset.handle_video, api.refuse_day, asset.find_owner),
    Route("GET", f"{_REST}/videos/{{urn}}", "look", asset.read),
    Route(
        "PUT",
        "/linkedin/dms-uploads/{place}/{number:\\d{1,6}|thumbnail}",
        "upload",
        asset.put_bytes,
        owner=asset.find_upload_owner,
        is_streamed=True,
    ),
    Route("POST", f"{_REST}/posts", "finalize", post.create, api.refuse_day, post.find_owner),
    Route("GET", f"{_REST}/posts", "look", post.list_posts, owner=post.find_owner),
    Route("GET", f"{_REST}/posts/{{urn}}", "look", post.read),
    Route("DELETE", f"{_REST}/posts/{{urn}}", "cancel", post.delete),
    Route("GET", f"{_REST}/organizationAcls", "oauth", members.list_acls),
    Route("GET", f"{_REST}/organizations", "oauth", members.list_organizations),
    Route("GET", f"{_REST}/organizations/{{id:\\d+}}", "oauth", members.read_organization),
    Route("GET", "/linkedin/v2/userinfo", "oauth", members.read_userinfo),
    Route("GET", "/linkedin/v2/me", "oauth", members.read_me),
    members.CONSENT.route("/linkedin-www/oauth/v2/authorization"),
    members.TOKENS.route("/linkedin-www/oauth/v2/accessToken"),
)


def _is_organization(options: Record) -> bool:
    return options.get("kind") == "organization"


def _list_scopes(options: Record) -> tuple[str, ...]:
    if _is_organization(options):
        return tuple(scope for scope in api.SCOPES if scope != api.WRITE[api.PERSON])
    return ("openid", "profile", api.WRITE[api.PERSON])


def _make_urn(options: Record) -> str:
    if _is_organization(options):
        return api.ORGANIZATION + random_digits(8, "5")
    return api.PERSON + secrets.token_urlsafe(8)[:10].replace("-", "x").replace("_", "y")


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve LinkedIn on `app`."""
    context.accounts.define(
        api.PLATFORM,
        AccountKind(
            new_id=_make_urn,
            scopes=_list_scopes,
            connection=lambda options: "organization" if _is_organization(options) else "person",
            has_refresh_token=lambda account: bool(account["options"].get("partner")),
            **api.TABLE["account"],
        ),
    )
    context.processing.define_task(asset.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
