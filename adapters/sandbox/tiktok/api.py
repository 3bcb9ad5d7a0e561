"""Responses of TikTok: the v2 envelope, and the flat errors of its OAuth; and its token endpoint and consent page."""

import itertools
import time

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.dialect import Dialect, Refused, json_response, load_table
from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import FORM, TokenEndpoint, check_client
from adapters.sandbox.store import Record

PLATFORM = "tiktok"
TABLE = load_table(PLATFORM)
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


DIALECT = Dialect(error_response, TABLE["errors"], requests=TABLE["requests"])
refuse = DIALECT.refuse


def authenticate(call: Call, limit: str, *scopes: str) -> Record:
    """Return the account of the token, and count the request against its limit per minute; raises Refused."""
    account = call.authenticate(*scopes)
    call.count(TABLE["limits"][limit], str(call.endpoint.dialect.read_token(call)))
    return account


def _oauth_error(code: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    body = {"error": code, "error_description": description, "log_id": new_log_id()}
    return json_response(body, status, wait=wait)


def _check_form(call: Call, form: Record) -> None:
    if call.request.content_type != FORM:
        raise Refused(_oauth_error("invalid_request", f"Only {FORM} is supported."))
    check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=Dialect(_oauth_error, TABLE["oauth_errors"]),
    render=_oauth_error,
    check=_check_form,
    check_revoke=_check_form,
    revoked=lambda *_: _oauth_error("", "", 200),
    **TABLE["tokens"],
)
CONSENT = ConsentScreen(
    # One page for both products: a scope that only Business has makes it a request of Business.
    platform=lambda parameters: (
        "tiktok_business" if set(parse_scopes(parameters)) & set(TABLE["business_scopes"]) else PLATFORM
    ),
    allow_parameters=lambda parameters: {"scopes": str(parameters.get("scope", ""))},
    **TABLE["consent"],
)
