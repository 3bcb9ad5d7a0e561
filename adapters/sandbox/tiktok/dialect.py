"""Responses of TikTok: the v2 envelope, and the flat errors of its OAuth; and its tables of tokens and consent."""

import itertools
import time

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.oauth import FORM, GrantRefused, TokenEndpoint, check_client, read_form
from adapters.sandbox.rate_windows import MINUTE
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

PLATFORM = "tiktok"

_STATUS = {
    "access_token_invalid": 401,
    "scope_not_authorized": 401,
    "spam_risk_too_many_posts": 403,
    "spam_risk_too_many_pending_share": 403,
    "spam_risk_user_banned_from_posting": 403,
    "reached_active_user_cap": 403,
    "unaudited_client_can_only_post_to_private_accounts": 403,
    "url_ownership_unverified": 403,
    "privacy_level_option_mismatch": 403,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
}
"""Every other code is HTTP 400."""
_BUSINESS_SCOPES = ("user.info.username", "user.account.type", "video.insights")

_numbers = itertools.count()


def new_log_id() -> str:
    """Return a new log id in TikTok's form."""
    return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}{next(_numbers):020X}"


def ok(data: Record | None = None) -> web.Response:
    """Return a success response; without `data` the envelope has only `error`."""
    error = {"code": "ok", "message": "", "log_id": new_log_id()}
    return json_response({"error": error} if data is None else {"data": data, "error": error})


def error_response(
    code: str, message: str = "", *, status: int | None = None, wait: int | None = None
) -> web.Response:
    """Return an error response with the HTTP status of its code; `wait`: seconds for Retry-After."""
    headers = None if wait is None else {"Retry-After": str(wait)}
    error = {"code": code, "message": message or f"{code.replace('_', ' ')}.", "log_id": new_log_id()}
    return json_response({"data": {}, "error": error}, status or _STATUS.get(code, 400), headers)


def refuse(message: str) -> Refused:
    """Return the exception for a bad parameter."""
    return Refused(error_response("invalid_params", message))


def refuse_code(code: str) -> Refused:
    """Return the exception for a documented error code."""
    return Refused(error_response(code))


def check_rate(call: Call, name: str, limit: int) -> None:
    """Count the request against the token's limit per minute; raise Refused if it is exceeded."""
    token = call.endpoint.dialect.read_token(call)
    if not call.context.rate_windows.take(f"tiktok.{name}:{token}", limit, MINUTE):
        raise Refused(error_response("rate_limit_exceeded", wait=60))


DIALECT = make_dialect(
    error_response,
    {
        "unknown_token": (
            "access_token_invalid",
            "The access token is invalid or not found in the request.",
        ),
        "missing_scope": ("scope_not_authorized", "The user did not authorize the scope {scope}."),
        "rate_limited": ("rate_limit_exceeded",),
        "server_error": ("internal_error", "Something went wrong. Please try again later."),
        "malformed": ("invalid_params", "The body is not a JSON object."),
    },
)


def _oauth_error(code: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    headers = None if wait is None else {"Retry-After": str(wait)}
    body = {"error": code, "error_description": description, "log_id": new_log_id()}
    return json_response(body, status, headers)


def _check_form(call: Call, form: Record) -> None:
    if call.request.content_type != FORM:
        raise Refused(_oauth_error("invalid_request", f"Only {FORM} is supported."))
    check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=make_dialect(
        _oauth_error,
        {
            "unknown_token": ("invalid_request", "No token."),
            "expired": ("invalid_grant", "Refresh token is expired."),
            "revoked": ("invalid_grant", "Refresh token is revoked."),
            "missing_scope": ("invalid_scope", "Scope {scope} is not authorized."),
            "rate_limited": ("rate_limit_exceeded", "Too many requests.", 429),
            "server_error": ("server_error", "Internal error.", 500),
            "malformed": ("invalid_request", "The body is not a form."),
        },
    ),
    render=_oauth_error,
    errors={
        "client": ("invalid_client", "{message}", 401),
        "code": ("invalid_grant", "{message}"),
        "refresh": ("invalid_grant", "{message}"),
        "grant_type": ("unsupported_grant_type", "The grant type is not supported."),
        "any": ("invalid_request", "{message}"),
    },
    check=_check_form,
    client="client_key",
    scope_separator=",",
    fields=(
        "access_token",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "open_id",
        "scope",
        "token_type",
    ),
)
CONSENT = ConsentScreen(
    vendor="TikTok",
    # One page for both products: a scope that only Business has makes it a request of Business.
    platform=lambda parameters: (
        "tiktok_business" if set(parse_scopes(parameters)) & set(_BUSINESS_SCOPES) else PLATFORM
    ),
    code_life=600.0,
    client="client_key",
    challenge_encoding="hex",
    deny_parameters={
        "error": "access_denied",
        "error_description": "User denied the authorization",
        "error_type": "access",
    },
    allow_parameters=lambda parameters: {"scopes": str(parameters.get("scope", ""))},
)


async def revoke(call: Call) -> web.Response:
    """POST /v2/oauth/revoke/."""
    form = read_form(call)
    try:
        _check_form(call, form)
    except GrantRefused as refusal:
        TOKENS.refuse(refusal)
    record = call.context.accounts.find_token(PLATFORM, form.get("token", ""))
    if record is None:
        raise Refused(_oauth_error("invalid_request", "The token is unknown."))
    call.context.accounts.set_token_state(PLATFORM, record["remote_id"], "revoked")
    return json_response({"error": "", "error_description": "", "log_id": new_log_id()})
