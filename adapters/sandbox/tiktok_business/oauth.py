"""Tokens of TikTok Business: code exchange, rotating refresh, revocation, token info."""

from dataclasses import replace

from aiohttp import web

from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, check_client
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business import api


def _check_app(call: Call, body: Record) -> None:
    for name in ("client_id", "client_secret"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise api.refuse(f"{name}: Missing data for required field.")
    check_client(call.context, api.PLATFORM, body["client_id"], body["client_secret"])


def _check_exchange(call: Call, body: Record) -> None:
    _check_app(call, body)
    if not body.get("redirect_uri"):
        raise GrantRefused("grant_type", "")


TOKEN = TokenEndpoint(
    platform=api.PLATFORM,
    render=api.error_response,
    read=Call.json,
    respond=api.ok,
    check=_check_exchange,
    **api.TABLE["tokens"],
)
REFRESH = replace(TOKEN, check=_check_app, **api.TABLE["refresh"])


async def revoke(call: Call) -> web.Response:
    """POST /tt_user/oauth2/revoke/."""
    try:
        _check_app(call, call.json())
    except GrantRefused as refusal:
        TOKEN.refuse(refusal)
    account = TOKEN.find_owner(call)
    if account is None:
        raise api.refuse("Access token is incorrect or has been revoked.", api.TOKEN_WRONG)
    call.context.accounts.set_token_state(api.PLATFORM, account["remote_id"], "revoked")
    return api.ok()


async def read_token_info(call: Call) -> web.Response:
    """POST /tt_user/token_info/get/: the scopes that were granted."""
    body = call.json()
    if not body.get("app_id"):
        raise api.refuse("app_id: Missing data for required field.")
    text = str(body.get("access_token", ""))
    record = call.context.accounts.find_token(api.PLATFORM, text)
    if (
        record is None
        or record["role"] != "access"
        or call.context.accounts.get_token_state(record) != "valid"
    ):
        raise Refused(api.error_response(api.TOKEN_WRONG, "Access token is incorrect or has been revoked."))
    account = call.context.accounts.find(api.PLATFORM, record["remote_id"])
    scope = "" if account is None else ",".join(call.context.accounts.list_granted_scopes(record, account))
    return api.ok({"app_id": body["app_id"], "scope": scope, "creator_id": record["remote_id"]})
