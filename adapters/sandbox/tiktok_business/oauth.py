"""Tokens of TikTok Business: code exchange, rotating refresh, revocation, token info."""

from dataclasses import replace

from aiohttp import web

from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, check_client
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.dialect import (
    BAD_PARAMETER,
    CODE_WRONG,
    PLATFORM,
    REFRESH_EXPIRED,
    REFRESH_WRONG,
    TOKEN_WRONG,
    error_response,
    ok,
    refuse,
)

_GRANT_TYPE = "grant_type must be authorization_code, and redirect_uri is required."


def _check_app(call: Call, body: Record) -> None:
    for name in ("client_id", "client_secret"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise refuse(f"{name}: Missing data for required field.")
    check_client(call.context, PLATFORM, body["client_id"], body["client_secret"])


def _check_exchange(call: Call, body: Record) -> None:
    _check_app(call, body)
    if not body.get("redirect_uri"):
        raise refuse(_GRANT_TYPE)


TOKEN = TokenEndpoint(
    platform=PLATFORM,
    render=error_response,
    errors={
        "client": (BAD_PARAMETER, "{message}"),
        "client.code": (CODE_WRONG, "{message}"),
        "grant_type": (BAD_PARAMETER, _GRANT_TYPE),
        "any": (CODE_WRONG, "{message}"),
    },
    read=Call.json,
    respond=ok,
    check=_check_exchange,
    code="auth_code",
    grants=("authorization_code",),
    scope_separator=",",
    owner_fields=("refresh_token", "auth_code", "access_token"),
    fields=(
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_token_expires_in",
        "open_id",
        "scope",
    ),
)
REFRESH = replace(
    TOKEN,
    check=_check_app,
    grants=("refresh_token",),
    errors={
        "client": (BAD_PARAMETER, "{message}"),
        "grant_type": (BAD_PARAMETER, "grant_type must be refresh_token."),
        "refresh.unknown": (REFRESH_WRONG, "The refresh token is incorrect."),
        "refresh.expired": (REFRESH_EXPIRED, "The refresh token is expired."),
        "refresh.revoked": (REFRESH_WRONG, "The refresh token is revoked."),
        "refresh.account": (REFRESH_WRONG, "{message}"),
    },
)


async def revoke(call: Call) -> web.Response:
    """POST /tt_user/oauth2/revoke/."""
    try:
        _check_app(call, call.json())
    except GrantRefused as refusal:
        TOKEN.refuse(refusal)
    account = TOKEN.find_owner(call)
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
