"""LinkedIn's token endpoint: access tokens of 60 days; refresh tokens for approved partners only.

A refresh token is valid for 365 days from the first consent and does not rotate. Partners: option `partner`.
"""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.endpoint import Call, Dialect, Endpoint
from adapters.sandbox.grants import GrantRefused, check_client, redeem_code_from_form
from adapters.sandbox.linkedin import members
from adapters.sandbox.linkedin.dialect import DIALECT, PERSON, PLATFORM, SCOPES
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

ACCESS_S = 60 * DAY
_CODE_LIFE_S = 1800.0
_MISMATCH = (
    "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. Or "
    "authorization code expired. Or external member binding exists"
)


def _error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    headers = None if wait is None else {"Retry-After": str(wait)}
    return json_response({"error": error, "error_description": description}, status, headers)


OAUTH_DIALECT = Dialect(
    read_token=DIALECT.read_token,
    unknown_token=lambda: _error_response("invalid_request", "A required parameter is missing"),
    expired=lambda: _error_response(
        "invalid_grant", "The provided authorization grant or refresh token is expired"
    ),
    revoked=lambda: _error_response(
        "invalid_grant", "The provided authorization grant or refresh token is revoked"
    ),
    missing_scope=lambda _: _error_response("invalid_scope", "The scope is not granted"),
    rate_limited=lambda wait: _error_response("rate_limit_exceeded", "Too many requests", 429, wait),
    server_error=lambda: _error_response("server_error", "Internal Server Error", 500),
    malformed=lambda: _error_response("invalid_request", "The body is not a form"),
)


def _get_code_fields(context: "SandboxContext", given: Record, chosen: list[Record]) -> Record:
    """Return the fields of an authorization code: granted scopes, and the organizations the person administers."""
    person = chosen[0]
    possible = person["options"].get("scopes", SCOPES)
    more: Record = {"scopes": [scope for scope in parse_scopes(given) if scope in possible]}
    if person["remote_id"].startswith(PERSON):
        more["acts_for"] = [
            f"{PLATFORM}:{one['remote_id']}" for one in members.list_administered(context, person)
        ]
    return more


CONSENT_SCREEN = ConsentScreen(
    vendor="LinkedIn",
    platform=PLATFORM,
    code_life=_CODE_LIFE_S,
    deny_parameters={
        "error": "user_cancelled_authorize",
        "error_description": "The user cancelled the authorization",
    },
    code_fields=_get_code_fields,
)


def _read_form(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


async def issue_token(call: Call) -> web.Response:
    """POST /oauth/v2/accessToken."""
    form = _read_form(call)
    try:
        match form.get("grant_type"):
            case "authorization_code":
                return _exchange(call, form)
            case "refresh_token":
                check_client(call.context, PLATFORM, form.get("client_id"), form.get("client_secret"))
                return _refresh(call, form.get("refresh_token", ""))
            case _:
                raise Refused(_error_response("unsupported_grant_type", "The grant type is not supported"))
    except GrantRefused as refusal:
        if refusal.reason == "client":
            raise Refused(_error_response("invalid_client", "Client authentication failed", 401)) from None
        raise Refused(_error_response("invalid_request", _MISMATCH)) from None


def _exchange(call: Call, form: dict[str, str]) -> web.Response:
    account, code = redeem_code_from_form(call.context, PLATFORM, form)
    issued = call.context.accounts.issue_tokens(account, source=code)
    body = {"access_token": issued["access_token"], "expires_in": issued["expires_in"]}
    if "refresh_token" in issued:
        body |= {
            "refresh_token": issued["refresh_token"],
            "refresh_token_expires_in": issued["refresh_expires_in"],
        }
    return json_response(body | _get_scope_fields(call, account, code))


def _get_scope_fields(call: Call, account: Record, source: Record) -> Record:
    return {
        "scope": ",".join(call.context.accounts.list_granted_scopes(source, account)),
        "token_type": "Bearer",
    }


def _refresh(call: Call, text: str) -> web.Response:
    accounts = call.context.accounts
    found = accounts.find_token(PLATFORM, text)
    account = None if found is None else accounts.find(PLATFORM, found["remote_id"])
    is_good = found is not None and found["role"] == "refresh" and accounts.get_token_state(found) == "valid"
    if found is None or account is None or not is_good:
        raise Refused(
            _error_response("invalid_grant", "The provided authorization grant or refresh token is invalid")
        )
    more: Record = {name: found[name] for name in ("scopes", "acts_for") if name in found}
    access = accounts.create_token(account, "access", "AQX", ACCESS_S, 0.0, more)
    body: Record = {"access_token": access, "expires_in": int(ACCESS_S), "refresh_token": text}
    body["refresh_token_expires_in"] = int(found["expires_at"] - call.context.clock.now())
    return json_response(body | _get_scope_fields(call, account, found))


def _find_owner(call: Call) -> Record | None:
    form = _read_form(call)
    found = call.context.accounts.find_token(PLATFORM, form.get("refresh_token") or form.get("code") or "")
    return None if found is None else call.context.accounts.find(PLATFORM, found["remote_id"])


def _get_step(call: Call) -> str:
    return "refresh" if _read_form(call).get("grant_type") == "refresh_token" else "oauth"


CONSENT = CONSENT_SCREEN.endpoint(PLATFORM, DIALECT)
TOKEN = Endpoint(
    platform=PLATFORM, step=_get_step, handle=issue_token, dialect=OAUTH_DIALECT, owner=_find_owner
)
