"""Google's token endpoint: authorization codes and refresh tokens, which do not rotate.

A refresh token is issued only for offline access, and only at the first consent unless the app asks for another prompt:
developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24.
"""

from aiohttp import web

from adapters.sandbox.clock import DAY
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, read_form
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.youtube.api import DIALECT, PLATFORM, TABLE

_TESTING_S = 7 * DAY
_AGREED = "youtube.agreed"


def _error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    return json_response({"error": error, "error_description": description}, status, wait=wait)


def _get_code_fields(_: SandboxContext, given: Record, __: list[Record]) -> Record:
    is_offline, is_prompted = given.get("access_type") == "offline", "consent" in str(given.get("prompt", ""))
    return {"offline": is_offline, "prompted": is_prompted, "client": given["client_id"]}


CONSENT = ConsentScreen(
    allow_parameters=lambda given: {"scope": str(given.get("scope", ""))},
    code_fields=_get_code_fields,
    **TABLE["consent"],
)


def _has_refresh_token(call: Call, account: Record, code: Record) -> bool:
    if "grant" not in code:  # a code of the control API
        return True
    key = f"{account['remote_id']}:{code['client']}"
    has_agreed = call.context.store.get(_AGREED, key) is not None
    if code["offline"]:
        call.context.store.put(_AGREED, key, {})
    return bool(code["offline"] and (code["prompted"] or not has_agreed))


def _check_age(call: Call, account: Record, found: Record) -> None:
    """Refuse a token over a week old while the consent screen is in "Testing" (option `testing`)."""
    is_old = call.context.clock.now() >= found["issued_at"] + _TESTING_S
    if account["options"].get("testing") and is_old:
        raise GrantRefused("refresh.expired", "")


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=make_dialect(_error_response, TABLE["oauth_errors"], DIALECT.read_token),
    render=_error_response,
    read=lambda call: read_form(call) | dict(call.request.query),
    has_refresh_token=_has_refresh_token,
    check_refresh=_check_age,
    **TABLE["tokens"],
)


async def revoke(call: Call) -> web.Response:
    """POST /revoke."""
    account = TOKENS.find_owner(call)
    if account is None:
        raise Refused(_error_response("invalid_token", "Token expired or revoked"))
    call.context.accounts.set_token_state(PLATFORM, account["remote_id"], "revoked")
    for key in [
        key for key in call.context.store.get_all(_AGREED) if key.startswith(f"{account['remote_id']}:")
    ]:
        call.context.store.drop(_AGREED, key)
    return json_response({})
