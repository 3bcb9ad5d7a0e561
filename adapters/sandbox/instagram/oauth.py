"""Instagram Login: authorization codes, short-lived and long-lived tokens. There are no refresh tokens."""

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.clock import DAY
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call
from adapters.sandbox.instagram.container import PLATFORM, TABLE
from adapters.sandbox.oauth import TokenEndpoint
from adapters.sandbox.responses import json_response
from adapters.sandbox.store import Record

_SHORT_S = 3600.0

CONSENT = ConsentScreen(**TABLE["consent"])


def _issue_short_lived(call: Call, account: Record, code: Record) -> Record:
    accounts = call.context.accounts
    scopes = accounts.list_granted_scopes(code, account)
    text = accounts.create_token(account, "short", "IGAA", _SHORT_S, 0.0, {"scopes": scopes})
    return {"access_token": text, "user_id": int(account["remote_id"]), "permissions": scopes}


def _check_grant_type(_: Call, given: Record) -> None:
    if given.get("grant_type") != "authorization_code":
        raise graph.refuse(100, None, "grant_type must be authorization_code.")


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    # api.instagram.com has an envelope of its own
    render=lambda message: json_response(
        {"error_type": "OAuthException", "code": 400, "error_message": message}, 400
    ),
    read=graph.read_parameters,
    check=_check_grant_type,
    issue=_issue_short_lived,
    **TABLE["tokens"],
)


def _authenticate_token(call: Call, grant: str, role: str) -> tuple[Record, Record]:
    """Return the request's token and account. Raises Refused unless the grant type and the token's role match."""
    if call.request.query.get("grant_type") != grant:
        raise graph.refuse(100, None, f"grant_type must be {grant}.")
    account = call.authenticate()
    text = graph.read_token(call)
    token = None if text is None else call.context.accounts.find_token(PLATFORM, text)
    if token is None or token["role"] != role:
        raise graph.refuse(190, None, f"The access token is not a {role} one.")
    return token, account


def _issue_long_lived(call: Call, account: Record, source: Record) -> web.Response:
    issued = call.context.accounts.issue_tokens(account, source=source)
    return graph.ok(
        {"access_token": issued["access_token"], "token_type": "bearer", "expires_in": issued["expires_in"]}
    )


async def refresh(call: Call) -> web.Response:
    """GET /refresh_access_token: renew a token that is at least a day old and has not expired."""
    token, account = _authenticate_token(call, "ig_refresh_token", "access")
    if call.context.clock.now() < token["issued_at"] + DAY:
        raise graph.refuse(100, None, "The access token must be at least 24 hours old to be refreshed.")
    return _issue_long_lived(call, account, token)


async def exchange(call: Call) -> web.Response:
    """GET /access_token: exchange a short-lived token for a long-lived one."""
    if not call.request.query.get("client_secret"):
        raise graph.refuse(101, None, "Missing client_secret parameter.")
    short, account = _authenticate_token(call, "ig_exchange_token", "short")
    return _issue_long_lived(call, account, short)
