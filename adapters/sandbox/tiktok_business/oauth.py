"""Tokens of TikTok Business: code exchange, rotating refresh, revocation, token info."""

import json

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.grants import GrantRefused, check_client, redeem_code
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.dialect import (
    CODE_WRONG,
    DIALECT,
    PLATFORM,
    REFRESH_EXPIRED,
    REFRESH_WRONG,
    TOKEN_WRONG,
    error_response,
    ok,
    refuse,
)

_TOKEN_FIELDS = ("refresh_token", "auth_code", "access_token")


def _find_owner(call: Call) -> Record | None:
    try:
        body = json.loads(call.body or b"{}")
    except ValueError:
        return None
    for name in _TOKEN_FIELDS:
        token = call.context.accounts.find_token(PLATFORM, str(body.get(name, "")))
        if token is not None:
            return call.context.accounts.find(PLATFORM, token["remote_id"])
    return None


def _check_app(call: Call, body: Record) -> None:
    for name in ("client_id", "client_secret"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise refuse(f"{name}: Missing data for required field.")
    try:
        check_client(call.context, PLATFORM, body["client_id"], body["client_secret"])
    except GrantRefused as refusal:
        raise refuse(refusal.message) from None


async def issue_token(call: Call) -> web.Response:
    """POST /tt_user/oauth2/token/: exchange a code for tokens."""
    body = call.json()
    _check_app(call, body)
    if body.get("grant_type") != "authorization_code" or not body.get("redirect_uri"):
        raise refuse("grant_type must be authorization_code, and redirect_uri is required.")
    try:
        account, code = redeem_code(
            call.context,
            PLATFORM,
            body.get("auth_code"),
            client_id=body["client_id"],
            secret=body["client_secret"],
            redirect_uri=body["redirect_uri"],
            verifier=body.get("code_verifier"),
        )
    except GrantRefused as refusal:
        raise refuse(refusal.message, CODE_WRONG) from None
    return _issue_tokens(call, account, code)


async def refresh(call: Call) -> web.Response:
    """POST /tt_user/oauth2/refresh_token/."""
    body = call.json()
    _check_app(call, body)
    if body.get("grant_type") != "refresh_token":
        raise refuse("grant_type must be refresh_token.")
    accounts, text = call.context.accounts, body.get("refresh_token")
    record = accounts.find_token(PLATFORM, text) if isinstance(text, str) else None
    if not isinstance(text, str) or record is None or record["role"] != "refresh":
        raise refuse("The refresh token is incorrect.", REFRESH_WRONG)
    if (state := accounts.get_token_state(record)) != "valid":
        raise refuse(
            f"The refresh token is {state}.", REFRESH_EXPIRED if state == "expired" else REFRESH_WRONG
        )
    account = accounts.find(PLATFORM, record["remote_id"])
    if account is None:
        raise refuse("The account no longer exists.", REFRESH_WRONG)
    accounts.use_token(text, record)
    return _issue_tokens(call, account, record, text)


def _issue_tokens(call: Call, account: Record, source: Record, old_token: str | None = None) -> web.Response:
    accounts = call.context.accounts
    issued = accounts.issue_tokens(account, replaces=old_token, source=source)
    return ok(
        {
            "access_token": issued["access_token"],
            "token_type": "Bearer",
            "expires_in": issued["expires_in"],
            "refresh_token": issued["refresh_token"],
            "refresh_token_expires_in": issued["refresh_expires_in"],
            "open_id": account["remote_id"],
            "scope": ",".join(accounts.list_granted_scopes(source, account)),
        }
    )


async def revoke(call: Call) -> web.Response:
    """POST /tt_user/oauth2/revoke/."""
    body = call.json()
    _check_app(call, body)
    account = _find_owner(call)
    if account is None:
        raise refuse("Access token is incorrect or has been revoked.", TOKEN_WRONG)
    call.context.accounts.set_token_state(PLATFORM, account["remote_id"], "revoked")
    return ok()


async def read_token_info(call: Call) -> web.Response:
    """POST /tt_user/token_info/get/: the scopes that were granted."""
    body = call.json()
    if not body.get("app_id"):
        raise refuse("app_id: Missing data for required field.")
    text = str(body.get("access_token", ""))
    record = call.context.accounts.find_token(PLATFORM, text)
    if (
        record is None
        or record["role"] != "access"
        or call.context.accounts.get_token_state(record) != "valid"
    ):
        raise Refused(error_response(TOKEN_WRONG, "Access token is incorrect or has been revoked."))
    account = call.context.accounts.find(PLATFORM, record["remote_id"])
    scope = "" if account is None else ",".join(call.context.accounts.list_granted_scopes(record, account))
    return ok({"app_id": body["app_id"], "scope": scope, "creator_id": record["remote_id"]})


TOKEN = Endpoint(platform=PLATFORM, step="oauth", handle=issue_token, dialect=DIALECT, owner=_find_owner)
REFRESH = Endpoint(platform=PLATFORM, step="refresh", handle=refresh, dialect=DIALECT, owner=_find_owner)
REVOKE = Endpoint(platform=PLATFORM, step="oauth", handle=revoke, dialect=DIALECT, owner=_find_owner)
TOKEN_INFO = Endpoint(
    platform=PLATFORM, step="oauth", handle=read_token_info, dialect=DIALECT, owner=_find_owner
)
