"""TikTok's token endpoint: rotating refresh, exchange of a code, revocation."""

from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.answers import Refused, json_answer
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.voice import OAUTH_VOICE, PLATFORM, log_id, oauth_no


def _form(call: Call) -> dict[str, str]:
    if call.request.content_type != "application/x-www-form-urlencoded":
        raise Refused(oauth_no("invalid_request", "Only application/x-www-form-urlencoded is supported."))
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _owner(call: Call) -> Record | None:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    text = form.get("refresh_token") or form.get("code") or form.get("token") or ""
    token = call.world.accounts.token(PLATFORM, text)
    return None if token is None else call.world.accounts.find(PLATFORM, token["remote_id"])


def _step(call: Call) -> str:
    return "refresh" if b"grant_type=refresh_token" in call.body else "oauth"


async def token(call: Call) -> web.Response:
    """POST /v2/oauth/token/."""
    form = _form(call)
    if not form.get("client_key") or not form.get("client_secret"):
        raise Refused(oauth_no("invalid_client", "Client key or secret is missing.", 401))
    match form.get("grant_type"):
        case "refresh_token":
            return _rotate(call, form.get("refresh_token", ""), "refresh")
        case "authorization_code" if form.get("redirect_uri"):
            return _rotate(call, form.get("code", ""), "code")
        case "authorization_code":
            raise Refused(oauth_no("invalid_request", "redirect_uri is missing."))
        case _:
            raise Refused(oauth_no("unsupported_grant_type", "The grant type is not supported."))


def _rotate(call: Call, text: str, role: str) -> web.Response:
    accounts = call.world.accounts
    given = accounts.token(PLATFORM, text)
    if given is None or given["role"] != role or accounts.state(given) != "valid":
        raise Refused(oauth_no("invalid_grant", f"The {role} token is invalid or expired."))
    account = accounts.find(PLATFORM, given["remote_id"])
    if account is None:
        raise Refused(oauth_no("invalid_grant", "The account is gone."))
    accounts.use(text, given)
    if role == "code":
        accounts.drop(text)
    issued = accounts.issue(account, replaces=text if role == "refresh" else None)
    body = issued | {"open_id": account["remote_id"], "scope": ",".join(accounts.scopes(account))}
    return json_answer(body | {"token_type": "Bearer"})


async def revoke(call: Call) -> web.Response:
    """POST /v2/oauth/revoke/."""
    form = _form(call)
    if not form.get("client_key") or not form.get("client_secret"):
        raise Refused(oauth_no("invalid_client", "Client key or secret is missing.", 401))
    given = call.world.accounts.token(PLATFORM, form.get("token", ""))
    if given is None:
        raise Refused(oauth_no("invalid_request", "The token is unknown."))
    call.world.accounts.mark(PLATFORM, given["remote_id"], "revoked")
    return json_answer({"error": "", "error_description": "", "log_id": log_id()})


TOKEN = Endpoint(platform=PLATFORM, step=_step, handle=token, voice=OAUTH_VOICE, owner=_owner)
REVOKE = Endpoint(platform=PLATFORM, step="oauth", handle=revoke, voice=OAUTH_VOICE, owner=_owner)
