"""Responses of TikTok: the v2 envelope, and the flat errors of its OAuth; and its tables of tokens and consent."""

import itertools
import time
from collections.abc import Callable

from aiohttp import web

from adapters.sandbox.clock import MINUTE
from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.oauth import FORM, GrantRefused, TokenEndpoint, check_client, read_form
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import load_table

PLATFORM = "tiktok"

TABLE = load_table(PLATFORM)
_BUSINESS_SCOPES = ("user.info.username", "user.account.type", "video.insights")

_numbers = itertools.count()


def new_log_id() -> str:
    """Return a new log id in TikTok's form."""
    return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}{next(_numbers):020X}"


def ok(data: Record | None = None) -> web.Response:
    """Return a success response; without `data` the envelope has only `error`."""
    error = {"code": "ok", "message": "", "log_id": new_log_id()}
    return json_response({"error": error} if data is None else {"data": data, "error": error})


def error_response(
    code: str, message: str = "", *, status: int | None = None, wait: int | None = None
) -> web.Response:
    """Return an error response with the HTTP status of its code; `wait`: seconds for Retry-After."""
    error = {"code": code, "message": message or f"{code.replace('_', ' ')}.", "log_id": new_log_id()}
    return json_response({"data": {}, "error": error}, status or TABLE["status"].get(code, 400), wait=wait)


def refuse(message: str) -> Refused:
    """Return the exception for a bad parameter."""
    return Refused(error_response("invalid_params", message))


def refuse_code(code: str) -> Refused:
    """Return the exception for a documented error code."""
    return Refused(error_response(code))


def exhaust(code: str, status: int | None = None) -> Callable[[Call], web.Response]:
    """Return what responds with this error under the fault `quota-exhausted`."""
    return lambda _: error_response(code, status=status)


def check_rate(call: Call, name: str, limit: int) -> None:
    """Count the request against the token's limit per minute; raise Refused if it is exceeded."""
    token = call.endpoint.dialect.read_token(call)
    if not call.context.rate_windows.take(f"tiktok.{name}:{token}", limit, MINUTE):
        raise Refused(error_response("rate_limit_exceeded", wait=60))


DIALECT = make_dialect(error_response, TABLE["errors"])


def _oauth_error(code: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    body = {"error": code, "error_description": description, "log_id": new_log_id()}
    return json_response(body, status, wait=wait)


def _check_form(call: Call, form: Record) -> None:
    if call.request.content_type != FORM:
        raise Refused(_oauth_error("invalid_request", f"Only {FORM} is supported."))
    check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=make_dialect(_oauth_error, TABLE["oauth_errors"]),
    render=_oauth_error,
    check=_check_form,
    **TABLE["tokens"],
)
CONSENT = ConsentScreen(
    # One page for both products: a scope that only Business has makes it a request of Business.
    platform=lambda parameters: (
        "tiktok_business" if set(parse_scopes(parameters)) & set(_BUSINESS_SCOPES) else PLATFORM
    ),
    allow_parameters=lambda parameters: {"scopes": str(parameters.get("scope", ""))},
    **TABLE["consent"],
)


async def revoke(call: Call) -> web.Response:
    """POST /v2/oauth/revoke/."""
    form = read_form(call)
    try:
        _check_form(call, form)
    except GrantRefused as refusal:
        TOKENS.refuse(refusal)
    record = call.context.accounts.find_token(PLATFORM, form.get("token", ""))
    if record is None:
        raise Refused(_oauth_error("invalid_request", "The token is unknown."))
    call.context.accounts.set_token_state(PLATFORM, record["remote_id"], "revoked")
    return json_response({"error": "", "error_description": "", "log_id": new_log_id()})
