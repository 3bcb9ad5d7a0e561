"""Responses of TikTok: the v2 envelope, and flat OAuth errors."""

import itertools
import time

from aiohttp import web

from adapters.sandbox.endpoint import Call, Dialect
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

_numbers = itertools.count()


def new_log_id() -> str:
    """Return a new log id in TikTok's form."""
    return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}{next(_numbers):020X}"


def ok(data: Record | None = None) -> web.Response:
    """Return a success response; without `data` the envelope has only `error`."""
    error = {"code": "ok", "message": "", "log_id": new_log_id()}
    return json_response({"error": error} if data is None else {"data": data, "error": error})


def error_response(
    code: str, message: str = "", *, status: int | None = None, retry_after: int | None = None
) -> web.Response:
    """Return an error response with the HTTP status of its code."""
    headers = None if retry_after is None else {"Retry-After": str(retry_after)}
    error = {"code": code, "message": message or f"{code.replace('_', ' ')}.", "log_id": new_log_id()}
    return json_response({"data": {}, "error": error}, status or _STATUS.get(code, 400), headers)


def refuse(message: str) -> Refused:
    """Return the exception for a bad parameter."""
    return Refused(error_response("invalid_params", message))


def oauth_error(code: str, description: str, status: int = 400) -> web.Response:
    """Return an error response of the OAuth endpoints, which have no envelope."""
    return json_response({"error": code, "error_description": description, "log_id": new_log_id()}, status)


def _read_bearer_token(call: Call) -> str | None:
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" else None


def _bad_token() -> web.Response:
    return error_response("access_token_invalid", "The access token is invalid or not found in the request.")


DIALECT = Dialect(
    read_token=_read_bearer_token,
    unknown_token=_bad_token,
    expired=_bad_token,
    revoked=_bad_token,
    missing_scope=lambda scope: error_response(
        "scope_not_authorized", f"The user did not authorize the scope {scope}."
    ),
    rate_limited=lambda wait: error_response("rate_limit_exceeded", retry_after=wait),
    server_error=lambda: error_response("internal_error", "Something went wrong. Please try again later."),
    malformed=lambda: error_response("invalid_params", "The body is not a JSON object."),
)

OAUTH_DIALECT = Dialect(
    read_token=_read_bearer_token,
    unknown_token=lambda: oauth_error("invalid_request", "No token."),
    expired=lambda: oauth_error("invalid_grant", "Refresh token is expired."),
    revoked=lambda: oauth_error("invalid_grant", "Refresh token is revoked."),
    missing_scope=lambda scope: oauth_error("invalid_scope", f"Scope {scope} is not authorized."),
    rate_limited=lambda wait: json_response(
        {"error": "rate_limit_exceeded", "error_description": "Too many requests.", "log_id": new_log_id()},
        429,
        {"Retry-After": str(wait)},
    ),
    server_error=lambda: oauth_error("server_error", "Internal error.", 500),
    malformed=lambda: oauth_error("invalid_request", "The body is not a form."),
)
