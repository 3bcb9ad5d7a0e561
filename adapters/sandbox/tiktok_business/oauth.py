"""Tokens of the TikTok Business stand-in."""

import json

from aiohttp import web

from adapters.sandbox.answers import Refused
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.voice import (
    CODE_WRONG,
    PLATFORM,
    REFRESH_EXPIRED,
    REFRESH_WRONG,
    TOKEN_WRONG,
    VOICE,
    no,
    ok,
    refuse,
)

_SECRETS = ("refresh_token", "auth_code", "access_token")


def _owner(call: Call) -> Record | None:
    try:
        body = json.loads(call.body or b"{}")
    except ValueError:
        return None
    for name in _SECRETS:
        token = call.world.accounts.token(PLATFORM, str(body.get(name, "")))
        if token is not None:
            return call.world.accounts.find(PLATFORM, token["remote_id"])
    return None


def _client(body: Record) -> None:
    for name in ("client_id", "client_secret"):
        if not body.get(name):
            raise refuse(f"{name}: Missing data for required field.")


async def token(call: Call) -> web.Response:
    """POST /tt_user/oauth2/token/: a code for tokens."""
    body = call.json()
    _client(body)
    if body.get("grant_type") != "authorization_code" or not body.get("redirect_uri"):
        raise refuse("grant_type must be authorization_code, and redirect_uri is required.")
    return _issue(call, body.get("auth_code"), "code", CODE_WRONG)


async def refresh(call: Call) -> web.Response:
    """POST /tt_user/oauth2/refresh_token/."""
    body = call.json()
    _client(body)
    if body.get("grant_type") != "refresh_token":
        raise refuse("grant_type must be refresh_token.")
    return _issue(call, body.get("refresh_token"), "refresh", REFRESH_WRONG)


def _issue(call: Call, text: object, role: str, wrong: int) -> web.Response:
    accounts = call.world.accounts
    given = accounts.token(PLATFORM, text) if isinstance(text, str) else None
    if not isinstance(text, str) or given is None or given["role"] != role:
        raise refuse(f"The {role} token is incorrect.", wrong)
    if (state := accounts.state(given)) != "valid":
        raise refuse(f"The {role} token is {state}.", REFRESH_EXPIRED if state == "expired" else wrong)
    account = accounts.find(PLATFORM, given["remote_id"])
    if account is None:
        raise refuse("The account is gone.", wrong)
    accounts.use(text, given)
    if role == "code":
        accounts.drop(text)
    issued = accounts.issue(account, replaces=text if role == "refresh" else None)
    return ok(
        {
            "access_token": issued["access_token"],
            "token_type": "Bearer",
            "expires_in": issued["expires_in"],
            "refresh_token": issued["refresh_token"],
            "refresh_token_expires_in": issued["refresh_expires_in"],
            "open_id": account["remote_id"],
            "scope": ",".join(accounts.scopes(account)),
        }
    )


async def revoke(call: Call) -> web.Response:
    """POST /tt_user/oauth2/revoke/."""
    body = call.json()
    _client(body)
    account = _owner(call)
    if account is None:
        raise refuse("Access token is incorrect or has been revoked.", TOKEN_WRONG)
    call.world.accounts.mark(PLATFORM, account["remote_id"], "revoked")
    return ok()


async def token_info(call: Call) -> web.Response:
    """POST /tt_user/token_info/get/: what was really granted."""
    body = call.json()
    if not body.get("app_id"):
        raise refuse("app_id: Missing data for required field.")
    text = str(body.get("access_token", ""))
    given = call.world.accounts.token(PLATFORM, text)
    if given is None or given["role"] != "access" or call.world.accounts.state(given) != "valid":
        raise Refused(no(TOKEN_WRONG, "Access token is incorrect or has been revoked."))
    account = call.world.accounts.find(PLATFORM, given["remote_id"])
    scope = "" if account is None else ",".join(call.world.accounts.scopes(account))
    return ok({"app_id": body["app_id"], "scope": scope, "creator_id": given["remote_id"]})


TOKEN = Endpoint(platform=PLATFORM, step="oauth", handle=token, voice=VOICE, owner=_owner)
REFRESH = Endpoint(platform=PLATFORM, step="refresh", handle=refresh, voice=VOICE, owner=_owner)
REVOKE = Endpoint(platform=PLATFORM, step="oauth", handle=revoke, voice=VOICE, owner=_owner)
TOKEN_INFO = Endpoint(platform=PLATFORM, step="oauth", handle=token_info, voice=VOICE, owner=_owner)
