"""Facebook Login: authorization codes, short-lived and long-lived user tokens, and token inspection."""

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import user
from adapters.sandbox.facebook.dialect import DIALECT, PLATFORM, USER, ok
from adapters.sandbox.grants import GrantRefused, check_client, redeem_code_from_form
from adapters.sandbox.graph_dialect import read_parameters, refuse
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.store import Record

_SHORT_S = 5400.0
_LONG_S = 60 * DAY
_CODE_LIFE_S = 600.0
_GRANT_ERRORS = {
    "client": (101, "Error validating application. Cannot get application info due to a system error."),
    "code": (100, "This authorization code has been used or has expired."),
    "redirect": (
        100,
        "Error validating verification code. Please make sure your redirect_uri is identical to the "
        "one you used in the OAuth dialog request",
    ),
    "verifier": (100, "Error validating verification code. The code_verifier does not fit."),
}

CONSENT_SCREEN = ConsentScreen(
    vendor="Facebook",
    platform=PLATFORM,
    code_life=_CODE_LIFE_S,
    allows_several=True,
    deny_parameters={
        "error": "access_denied",
        "error_reason": "user_denied",
        "error_description": "Permissions error",
    },
    code_fields=user.get_code_fields,
    fragment="#_=_",
)


async def issue_token(call: Call) -> web.Response:
    """GET or POST /oauth/access_token."""
    given = read_parameters(call)
    try:
        if given.get("grant_type") == "fb_exchange_token":
            return _extend_token(call, given)
        _, found = redeem_code_from_form(call.context, PLATFORM, given)
    except GrantRefused as refusal:
        code, message = _GRANT_ERRORS[refusal.reason]
        raise refuse(code, None, message) from None
    return _token_response(user.create_user_token(call.context, found, _SHORT_S), _SHORT_S)


def _token_response(text: str, life: float) -> web.Response:
    return ok({"access_token": text, "token_type": "bearer", "expires_in": int(life)})


def _extend_token(call: Call, given: Record) -> web.Response:
    check_client(call.context, PLATFORM, given.get("client_id"), given.get("client_secret"))
    accounts = call.context.accounts
    found = accounts.find_token(PLATFORM, str(given.get("fb_exchange_token") or ""))
    if found is None or found["role"] not in (USER, "short"):
        raise refuse(190, None, "Invalid OAuth access token - Cannot parse access token")
    if (state := accounts.get_token_state(found)) != "valid":
        raise refuse(190, 463 if state == "expired" else 458, "Error validating access token")
    return _token_response(user.create_user_token(call.context, found, _LONG_S), _LONG_S)


def _get_step(call: Call) -> str:
    return "refresh" if read_parameters(call).get("grant_type") == "fb_exchange_token" else "oauth"


async def debug_token(call: Call) -> web.Response:
    """GET /debug_token?input_token=…&access_token=<app id>|<app secret>."""
    given = read_parameters(call)
    app, _, secret = str(given.get("access_token") or "").partition("|")
    try:
        check_client(call.context, PLATFORM, app, secret)
    except GrantRefused:
        raise refuse(190, None, "Invalid OAuth access token - Cannot parse access token") from None
    accounts = call.context.accounts
    found = accounts.find_token(PLATFORM, str(given.get("input_token") or ""))
    if found is None:
        error = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        return ok({"data": {"error": error, "is_valid": False, "scopes": []}})
    return ok({"data": _describe_token(call, app, found)})


def _describe_token(call: Call, app: str, found: Record) -> Record:
    accounts = call.context.accounts
    is_user = found["role"] == USER
    owner = accounts.find(PLATFORM, found["remote_id"])
    scopes = list(found["scopes"]) if owner is None else accounts.list_granted_scopes(found, owner)
    targets = found["pages"] if is_user else [found["remote_id"]]
    facts: Record = {"app_id": app, "type": "USER" if is_user else "PAGE", "application": "Slipway"}
    facts |= {"expires_at": int(found["expires_at"] or 0), "issued_at": int(found["issued_at"])}
    facts |= {
        "is_valid": accounts.get_token_state(found) == "valid",
        "scopes": scopes,
        "user_id": user.USER_ID,
    }
    if not is_user:
        facts["profile_id"] = found["remote_id"]
    facts["granular_scopes"] = [
        {"scope": scope, "target_ids": targets} for scope in scopes if scope.startswith("pages_")
    ]
    return facts


def _find_owner(call: Call) -> Record | None:
    given = read_parameters(call)
    text = str(given.get("fb_exchange_token") or given.get("code") or "")
    found = call.context.accounts.find_token(PLATFORM, text)
    pages = [] if found is None else found.get("pages", [found["remote_id"]])
    return call.context.accounts.find(PLATFORM, pages[0]) if pages else None


CONSENT = CONSENT_SCREEN.endpoint(PLATFORM, DIALECT)
TOKEN = Endpoint(platform=PLATFORM, step=_get_step, handle=issue_token, dialect=DIALECT, owner=_find_owner)
DEBUG = Endpoint(platform=PLATFORM, step="oauth", handle=debug_token, dialect=DIALECT, owner=lambda _: None)
