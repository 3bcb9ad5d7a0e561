"""Tokens of the Instagram stand-in: short for long, and long for longer. There is no refresh token."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.graph_voice import VOICE, ok, presented, refuse
from adapters.sandbox.instagram.container import PLATFORM
from adapters.sandbox.store import Record
from adapters.sandbox.windows import DAY

LIFE_S = 5_183_944.0


def _given(call: Call, grant: str, role: str) -> tuple[Record, Record]:
    """The token and its account, if the request may change it; raises Refused."""
    if call.request.query.get("grant_type") != grant:
        raise refuse(100, None, f"grant_type must be {grant}.")
    account = call.holder()
    text = presented(call)
    token = None if text is None else call.world.accounts.token(PLATFORM, text)
    if token is None or token["role"] != role:
        raise refuse(190, None, f"The access token is not a {role} one.")
    return token, account


def _longer(call: Call, account: Record) -> web.Response:
    issued = call.world.accounts.issue(account)
    return ok(
        {"access_token": issued["access_token"], "token_type": "bearer", "expires_in": issued["expires_in"]}
    )


async def refresh(call: Call) -> web.Response:
    """GET /refresh_access_token: for a token that is at least a day old and has not expired."""
    token, account = _given(call, "ig_refresh_token", "access")
    if call.world.clock.now() < token["issued_at"] + DAY:
        raise refuse(100, None, "The access token must be at least 24 hours old to be refreshed.")
    return _longer(call, account)


async def exchange(call: Call) -> web.Response:
    """GET /access_token: a short-lived token for a long-lived one."""
    if not call.request.query.get("client_secret"):
        raise refuse(101, None, "Missing client_secret parameter.")
    _, account = _given(call, "ig_exchange_token", "short")
    return _longer(call, account)


REFRESH = Endpoint(platform=PLATFORM, step="refresh", handle=refresh, voice=VOICE)
EXCHANGE = Endpoint(platform=PLATFORM, step="oauth", handle=exchange, voice=VOICE)
