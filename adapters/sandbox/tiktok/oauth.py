"""TikTok's OAuth: consent page, code exchange, rotating refresh, revocation.

The consent page serves both of TikTok's products: a request with a scope that only Business has counts as Business.
"""

from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.grants import GrantRefused, check_client, redeem_code_from_form, use_refresh_token
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.dialect import DIALECT, OAUTH_DIALECT, PLATFORM, new_log_id, oauth_error

_BUSINESS = "tiktok_business"
_BUSINESS_SCOPES = ("user.info.username", "user.account.type", "video.insights")
_CODE_LIFE_S = 600.0
_ERROR_CODES = {"client": "invalid_client", "code": "invalid_grant"}

CONSENT_SCREEN = ConsentScreen(
    vendor="TikTok",
    platform=lambda parameters: (
        _BUSINESS if set(parse_scopes(parameters)) & set(_BUSINESS_SCOPES) else PLATFORM
    ),
    code_life=_CODE_LIFE_S,
    client="client_key",
    challenge_encoding="hex",
    deny_parameters={
        "error": "access_denied",
        "error_description": "User denied the authorization",
        "error_type": "access",
    },
    allow_parameters=lambda parameters: {"scopes": str(parameters.get("scope", ""))},
)


def _read_form(call: Call) -> dict[str, str]:
    if call.request.content_type != "application/x-www-form-urlencoded":
        raise Refused(oauth_error("invalid_request", "Only application/x-www-form-urlencoded is supported."))
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _find_owner(call: Call) -> Record | None:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    text = form.get("refresh_token") or form.get("code") or form.get("token") or ""
    token = call.context.accounts.find_token(PLATFORM, text)
    return None if token is None else call.context.accounts.find(PLATFORM, token["remote_id"])


def _get_step(call: Call) -> str:
    return "refresh" if b"grant_type=refresh_token" in call.body else "oauth"


async def issue_token(call: Call) -> web.Response:
    """POST /v2/oauth/token/."""
    form = _read_form(call)
    try:
        check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))
        match form.get("grant_type"):
            case "refresh_token":
                return _refresh(call, form.get("refresh_token", ""))
            case "authorization_code":
                return _exchange(call, form)
            case _:
                raise Refused(oauth_error("unsupported_grant_type", "The grant type is not supported."))
    except GrantRefused as refusal:
        code = _ERROR_CODES.get(refusal.reason, "invalid_request")
        raise Refused(
            oauth_error(code, refusal.message, 401 if refusal.reason == "client" else 400)
        ) from None


def _exchange(call: Call, form: dict[str, str]) -> web.Response:
    account, code = redeem_code_from_form(call.context, PLATFORM, form, "client_key")
    return _issue_tokens(call, account, code)


def _refresh(call: Call, text: str) -> web.Response:
    account, record = use_refresh_token(call.context, PLATFORM, text)
    return _issue_tokens(call, account, record, text)


def _issue_tokens(call: Call, account: Record, source: Record, old_token: str | None = None) -> web.Response:
    accounts = call.context.accounts
    issued = accounts.issue_tokens(account, replaces=old_token, source=source)
    body = issued | {
        "open_id": account["remote_id"],
        "scope": ",".join(accounts.list_granted_scopes(source, account)),
    }
    return json_response(body | {"token_type": "Bearer"})


async def revoke(call: Call) -> web.Response:
    """POST /v2/oauth/revoke/."""
    form = _read_form(call)
    try:
        check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))
    except GrantRefused as refusal:
        raise Refused(oauth_error("invalid_client", refusal.message, 401)) from None
    record = call.context.accounts.find_token(PLATFORM, form.get("token", ""))
    if record is None:
        raise Refused(oauth_error("invalid_request", "The token is unknown."))
    call.context.accounts.set_token_state(PLATFORM, record["remote_id"], "revoked")
    return json_response({"error": "", "error_description": "", "log_id": new_log_id()})


CONSENT = CONSENT_SCREEN.endpoint(PLATFORM, DIALECT)
TOKEN = Endpoint(
    platform=PLATFORM, step=_get_step, handle=issue_token, dialect=OAUTH_DIALECT, owner=_find_owner
)
REVOKE = Endpoint(platform=PLATFORM, step="oauth", handle=revoke, dialect=OAUTH_DIALECT, owner=_find_owner)
