"""Responses of TikTok Business: HTTP 200 with a code, 0 for success."""

import itertools
import json
import time

from aiohttp import web

from adapters.sandbox.clock import MINUTE
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import load_table

PLATFORM = "tiktok_business"
TABLE = load_table(PLATFORM)

BAD_PARAMETER = 40002
NO_PERMISSION = 40001
RATE_LIMIT = 40100
TOKEN_EXPIRED = 40102
REFRESH_EXPIRED = 40103
NO_TOKEN = 40104
TOKEN_WRONG = 40105
REFRESH_WRONG = 40107
CODE_WRONG = 40110
SYSTEM_ERROR = 50000
SOMETHING_WRONG = 51065

_CALLS_PER_MINUTE = 40
_numbers = itertools.count()


def _respond(
    code: int, message: str, data: Record, status: int = 200, wait: int | None = None
) -> web.Response:
    request_id = f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}{next(_numbers):020X}"
    body = {"code": code, "message": message, "request_id": request_id, "data": data}
    return json_response(body, status, {"X-Tt-Logid": request_id}, wait=wait)


def ok(data: Record | None = None) -> web.Response:
    """Return a success response."""
    return _respond(0, "OK", data or {})


def error_response(code: int, message: str, status: int = 200, wait: int | None = None) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    return _respond(code, message, {}, status, wait)


def refuse(message: str, code: int = BAD_PARAMETER) -> Refused:
    """Return the exception for a bad parameter, or for another `code`."""
    return Refused(error_response(code, message))


DIALECT = make_dialect(
    error_response, TABLE["errors"], lambda call: call.request.headers.get("Access-Token") or None
)


def authenticate_owner(call: Call, business_id: object, *scopes: str) -> Record:
    """Return the account of the token; raise Refused for a foreign `business_id` or above the limit per minute."""
    if not call.request.headers.get("Access-Token"):
        raise refuse("Access token is empty.", NO_TOKEN)
    account = call.authenticate(*scopes)
    if business_id != account["remote_id"]:
        raise refuse("No permission to operate this business_id.", NO_PERMISSION)
    window = f"business:{account['remote_id']}:{call.request.path}"
    if not call.context.rate_windows.take(window, _CALLS_PER_MINUTE, MINUTE):
        raise refuse("Too many requests. Please retry later.", RATE_LIMIT)
    return account


def read_json_parameter(call: Call, name: str) -> object:
    """Return a query parameter that is JSON text; None if absent."""
    text = call.request.query.get(name)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise refuse(f"{name}: not JSON.") from None
