"""TikTok's token endpoint: rotating refresh, exchange of a code, revocation; and its consent page.

The page serves both of TikTok's products: an app that asks for a scope that only Business has is taken for a Business
app.
"""

from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.consent import Desk, asked_scopes
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.grants import GrantRefused, check_client, redeem_form, use_refresh
from adapters.sandbox.responses import Refused, json_answer
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.dialect import OAUTH_VOICE, PLATFORM, VOICE, log_id, oauth_no

_BUSINESS = "tiktok_business"
_ONLY_BUSINESS = ("user.info.username", "user.account.type", "video.insights")
_CODE_LIFE_S = 600.0
_WRONG = {"client": "invalid_client", "code": "invalid_grant"}

DESK = Desk(
    vendor="TikTok",
    platform=lambda given: _BUSINESS if set(asked_scopes(given)) & set(_ONLY_BUSINESS) else PLATFORM,
    code_life=_CODE_LIFE_S,
    client="client_key",
    digest="hex",
    denied={
        "error": "access_denied",
        "error_description": "User denied the authorization",
        "error_type": "access",
    },
    sent_back=lambda given: {"scopes": str(given.get("scope", ""))},
)


def _form(call: Call) -> dict[str, str]:
    if call.request.content_type != "application/x-www-form-urlencoded":
        raise Refused(oauth_no("invalid_request", "Only application/x-www-form-urlencoded is supported."))
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _owner(call: Call) -> Record | None:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    text = form.get("refresh_token") or form.get("code") or form.get("token") or ""
    token = call.context.accounts.token(PLATFORM, text)
    return None if token is None else call.context.accounts.find(PLATFORM, token["remote_id"])


def _step(call: Call) -> str:
    return "refresh" if b"grant_type=refresh_token" in call.body else "oauth"


async def token(call: Call) -> web.Response:
    """POST /v2/oauth/token/."""
    form = _form(call)
    try:
        check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))
        match form.get("grant_type"):
            case "refresh_token":
                return _rotate(call, form.get("refresh_token", ""))
            case "authorization_code":
                return _exchange(call, form)
            case _:
                raise Refused(oauth_no("unsupported_grant_type", "The grant type is not supported."))
    except GrantRefused as refusal:
        code = _WRONG.get(refusal.reason, "invalid_request")
        raise Refused(oauth_no(code, refusal.sentence, 401 if refusal.reason == "client" else 400)) from None


def _exchange(call: Call, form: dict[str, str]) -> web.Response:
    account, code = redeem_form(call.context, PLATFORM, form, "client_key")
    return _issued(call, account, code)


def _rotate(call: Call, text: str) -> web.Response:
    account, given = use_refresh(call.context, PLATFORM, text)
    return _issued(call, account, given, text)


def _issued(call: Call, account: Record, like: Record, replaced: str | None = None) -> web.Response:
    accounts = call.context.accounts
    issued = accounts.issue(account, replaces=replaced, like=like)
    body = issued | {"open_id": account["remote_id"], "scope": ",".join(accounts.granted(like, account))}
    return json_answer(body | {"token_type": "Bearer"})


async def revoke(call: Call) -> web.Response:
    """POST /v2/oauth/revoke/."""
    form = _form(call)
    try:
        check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))
    except GrantRefused as refusal:
        raise Refused(oauth_no("invalid_client", refusal.sentence, 401)) from None
    given = call.context.accounts.token(PLATFORM, form.get("token", ""))
    if given is None:
        raise Refused(oauth_no("invalid_request", "The token is unknown."))
    call.context.accounts.mark(PLATFORM, given["remote_id"], "revoked")
    return json_answer({"error": "", "error_description": "", "log_id": log_id()})


CONSENT = DESK.endpoint(PLATFORM, VOICE)
TOKEN = Endpoint(platform=PLATFORM, step=_step, handle=token, voice=OAUTH_VOICE, owner=_owner)
REVOKE = Endpoint(platform=PLATFORM, step="oauth", handle=revoke, voice=OAUTH_VOICE, owner=_owner)
