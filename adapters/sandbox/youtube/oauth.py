"""Google's token endpoint: authorization codes and refresh tokens, which do not rotate.

A refresh token is issued only for offline access, and only at the first consent unless the app asks for another prompt:
developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24.
"""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call, Dialect, Endpoint
from adapters.sandbox.grants import GrantRefused, check_client, redeem_code_from_form
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.youtube.dialect import DIALECT, PLATFORM

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

ACCESS_S = 3599.0
_CODE_LIFE_S = 600.0
_TESTING_S = 7 * DAY
_AGREED = "youtube.agreed"
_GRANT_ERRORS = {
    "client": ("invalid_client", "The OAuth client was not found.", 401),
    "code": ("invalid_grant", "Malformed auth code.", 400),
    "redirect": ("redirect_uri_mismatch", "Bad Request", 400),
    "verifier": ("invalid_grant", "Invalid code verifier.", 400),
}


def _error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    headers = None if wait is None else {"Retry-After": str(wait)}
    return json_response({"error": error, "error_description": description}, status, headers)


OAUTH_DIALECT = Dialect(
    read_token=DIALECT.read_token,
    unknown_token=lambda: _error_response("invalid_grant", "Bad Request"),
    expired=lambda: _error_response("invalid_grant", "Token has been expired or revoked."),
    revoked=lambda: _error_response("invalid_grant", "Token has been expired or revoked."),
    missing_scope=lambda _: _error_response("invalid_scope", "Bad Request"),
    rate_limited=lambda wait: _error_response("rate_limit_exceeded", "Too many requests.", 429, wait),
    server_error=lambda: _error_response("internal_failure", "Backend Error", 503),
    malformed=lambda: _error_response("invalid_request", "Bad Request"),
)


def _read_form(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)) | dict(
        call.request.query
    )


def _find_owner(call: Call) -> Record | None:
    form = _read_form(call)
    text = form.get("refresh_token") or form.get("code") or form.get("token") or ""
    found = call.context.accounts.find_token(PLATFORM, text)
    return None if found is None else call.context.accounts.find(PLATFORM, found["remote_id"])


def _get_code_fields(_: "SandboxContext", given: Record, __: list[Record]) -> Record:
    is_offline, is_prompted = given.get("access_type") == "offline", "consent" in str(given.get("prompt", ""))
    return {"offline": is_offline, "prompted": is_prompted, "client": given["client_id"]}


CONSENT_SCREEN = ConsentScreen(
    vendor="Google",
    platform=PLATFORM,
    code_life=_CODE_LIFE_S,
    allow_parameters=lambda given: {"scope": str(given.get("scope", ""))},
    code_fields=_get_code_fields,
)


async def issue_token(call: Call) -> web.Response:
    """POST /token."""
    form = _read_form(call)
    try:
        match form.get("grant_type"):
            case "authorization_code":
                return _exchange(call, form)
            case "refresh_token":
                check_client(call.context, PLATFORM, form.get("client_id"), form.get("client_secret"))
                return _refresh(call, form.get("refresh_token", ""))
            case other:
                raise Refused(_error_response("unsupported_grant_type", f"Invalid grant_type: {other}"))
    except GrantRefused as refusal:
        raise Refused(_error_response(*_GRANT_ERRORS[refusal.reason])) from None


def _exchange(call: Call, form: dict[str, str]) -> web.Response:
    account, code = redeem_code_from_form(call.context, PLATFORM, form)
    body = _issue_access_token(call, account, code)
    if _gets_refresh_token(call, account, code):
        more = {"scopes": code["scopes"]} if "scopes" in code else {}
        body["refresh_token"] = call.context.accounts.create_token(account, "refresh", "1//", None, 0.0, more)
    return json_response(body)


def _gets_refresh_token(call: Call, account: Record, code: Record) -> bool:
    if "grant" not in code:  # a code of the control API
        return True
    key = f"{account['remote_id']}:{code['client']}"
    has_agreed = call.context.store.get(_AGREED, key) is not None
    if code["offline"]:
        call.context.store.put(_AGREED, key, {})
    return bool(code["offline"] and (code["prompted"] or not has_agreed))


def _issue_access_token(call: Call, account: Record, source: Record) -> Record:
    accounts = call.context.accounts
    more = {"scopes": source["scopes"]} if "scopes" in source else {}
    text = accounts.create_token(account, "access", "ya29.", ACCESS_S, 0.0, more)
    scope = " ".join(accounts.list_granted_scopes(source, account))
    return {"access_token": text, "expires_in": int(ACCESS_S), "scope": scope, "token_type": "Bearer"}


def _refresh(call: Call, text: str) -> web.Response:
    accounts = call.context.accounts
    found = accounts.find_token(PLATFORM, text)
    if found is None or found["role"] != "refresh":
        raise Refused(_error_response("invalid_grant", "Bad Request"))
    account = accounts.find(PLATFORM, found["remote_id"])
    if account is None or accounts.get_token_state(found) != "valid" or _is_too_old(call, account, found):
        raise Refused(_error_response("invalid_grant", "Token has been expired or revoked."))
    return json_response(_issue_access_token(call, account, found))


def _is_too_old(call: Call, account: Record, found: Record) -> bool:
    """Return True for a refresh token over a week old while the consent screen is in "Testing" (option `testing`)."""
    is_testing = bool(account["options"].get("testing"))
    return is_testing and bool(call.context.clock.now() >= found["issued_at"] + _TESTING_S)


async def revoke(call: Call) -> web.Response:
    """POST /revoke."""
    account = _find_owner(call)
    if account is None:
        raise Refused(_error_response("invalid_token", "Token expired or revoked"))
    call.context.accounts.set_token_state(PLATFORM, account["remote_id"], "revoked")
    for key in [
        key for key in call.context.store.get_all(_AGREED) if key.startswith(f"{account['remote_id']}:")
    ]:
        call.context.store.drop(_AGREED, key)
    return json_response({})


def _get_step(call: Call) -> str:
    return "refresh" if _read_form(call).get("grant_type") == "refresh_token" else "oauth"


CONSENT = CONSENT_SCREEN.endpoint(PLATFORM, DIALECT)
TOKEN = Endpoint(
    platform=PLATFORM, step=_get_step, handle=issue_token, dialect=OAUTH_DIALECT, owner=_find_owner
)
REVOKE = Endpoint(platform=PLATFORM, step="oauth", handle=revoke, dialect=OAUTH_DIALECT, owner=_find_owner)
