"""LinkedIn's token endpoint: access tokens of 60 days; refresh tokens for approved partners only.

A refresh token is valid for 365 days from the first consent and does not rotate. Partners: option `partner`.
"""

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import make_dialect
from adapters.sandbox.linkedin import members
from adapters.sandbox.linkedin.dialect import PERSON, PLATFORM, SCOPES
from adapters.sandbox.oauth import TokenEndpoint
from adapters.sandbox.responses import json_response
from adapters.sandbox.store import Record

_MISMATCH = (
    "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. Or "
    "authorization code expired. Or external member binding exists"
)


def _error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    headers = None if wait is None else {"Retry-After": str(wait)}
    return json_response({"error": error, "error_description": description}, status, headers)


def _get_code_fields(context: SandboxContext, given: Record, chosen: list[Record]) -> Record:
    """Return the fields of an authorization code: granted scopes, and the organizations the person administers."""
    person = chosen[0]
    possible = person["options"].get("scopes", SCOPES)
    more: Record = {"scopes": [scope for scope in parse_scopes(given) if scope in possible]}
    if person["remote_id"].startswith(PERSON):
        more["acts_for"] = [
            f"{PLATFORM}:{one['remote_id']}" for one in members.list_administered(context, person)
        ]
    return more


CONSENT = ConsentScreen(
    vendor="LinkedIn",
    platform=PLATFORM,
    code_life=1800.0,
    deny_parameters={
        "error": "user_cancelled_authorize",
        "error_description": "The user cancelled the authorization",
    },
    code_fields=_get_code_fields,
)
TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=make_dialect(
        _error_response,
        {
            "unknown_token": ("invalid_request", "A required parameter is missing"),
            "expired": ("invalid_grant", "The provided authorization grant or refresh token is expired"),
            "revoked": ("invalid_grant", "The provided authorization grant or refresh token is revoked"),
            "missing_scope": ("invalid_scope", "The scope is not granted"),
            "rate_limited": ("rate_limit_exceeded", "Too many requests", 429),
            "server_error": ("server_error", "Internal Server Error", 500),
            "malformed": ("invalid_request", "The body is not a form"),
        },
    ),
    render=_error_response,
    errors={
        "client": ("invalid_client", "Client authentication failed", 401),
        "grant_type": ("unsupported_grant_type", "The grant type is not supported"),
        "refresh": (
            "invalid_grant",
            "The provided authorization grant or refresh token is invalid",
        ),
        "any": ("invalid_request", _MISMATCH),
    },
    is_rotating=False,
    repeats_refresh_token=True,
    scope_separator=",",
    owner_fields=("refresh_token", "code"),
    fields=(
        "access_token",
        "expires_in",
        "refresh_token",
        "refresh_token_expires_in",
        "scope",
        "token_type",
    ),
)
