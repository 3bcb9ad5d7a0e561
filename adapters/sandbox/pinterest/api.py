"""Responses, rate limits and OAuth of the Pinterest sandbox; its refresh tokens rotate and last 60 days.

Limits: developers.pinterest.com/docs/reference/rate-limits, read 2026-11-24: per user and app 100 writes and 1000
reads a minute; an app with Trial access (option `trial`) 300 writes a day, and
no pins (gitroomhq/postiz-app#1084, read 2026-11-27). The codes of 429 and 5xx are guesses.
"""

import base64
import binascii

from aiohttp import web

from adapters.sandbox.clock import DAY, MINUTE
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.oauth import FORM, TokenEndpoint
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import load_table

PLATFORM = "pinterest"
TABLE = load_table(PLATFORM)
_WRITES_A_MINUTE = 100
_READS_A_MINUTE = 1000
_TRIAL_WRITES_A_DAY = 300


def ok(body: object, account: Record | None = None, status: int = 200) -> web.Response:
    """Return a success response; `account` adds the rate-limit headers."""
    return json_response(body, status, None if account is None else _make_rate_headers(account))


def _make_rate_headers(account: Record) -> dict[str, str]:
    limit, remaining = account["rate"]
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": "60",
    }


def error_response(
    status: int, code: int, message: str, *, wait: int | None = None, more: Record | None = None
) -> web.Response:
    """Return an error response; `wait`: seconds until the limit is lifted; `more` adds fields to its body."""
    headers: dict[str, str] = {}
    if wait is not None:
        headers |= {"Retry-After": str(wait), "x-ratelimit-limit": "100", "x-ratelimit-remaining": "0"}
        headers["x-ratelimit-reset"] = str(wait)
    return json_response({"code": code, "message": message, **(more or {})}, status, headers)


def invalid(message: str) -> Refused:
    """Return the exception that responds with 400 for an invalid parameter."""
    return Refused(error_response(400, 1, message))


def rate_limit_response(wait: int) -> web.Response:
    """Return the error for an exceeded rate limit; `wait` in seconds."""
    return error_response(*TABLE["errors"]["rate_limited"], wait=wait)


def refuse_day(_: Call) -> web.Response:
    """Return the error for an exhausted daily limit."""
    return rate_limit_response(int(DAY))


DIALECT = make_dialect(error_response, TABLE["errors"])


def authenticate_writer(call: Call, *scopes: str) -> Record:
    """Return the account of the token and count one write. Raises Refused if a limit is exceeded."""
    account = call.authenticate(*scopes)
    key = account["remote_id"]
    if account["options"].get("trial"):
        window = f"pinterest.trial:{key}"
        if not call.context.rate_windows.take(window, _TRIAL_WRITES_A_DAY, DAY):
            raise Refused(rate_limit_response(int(DAY)))
    return _count_request(call, account, f"pinterest.write:{key}", _WRITES_A_MINUTE)


def authenticate_reader(call: Call, *scopes: str) -> Record:
    """Return the account of the token and count one read. Raises Refused if the limit is exceeded."""
    account = call.authenticate(*scopes)
    return _count_request(call, account, f"pinterest.read:{account['remote_id']}", _READS_A_MINUTE)


def _count_request(call: Call, account: Record, window: str, limit: int) -> Record:
    if not call.context.rate_windows.take(window, limit, MINUTE):
        raise Refused(rate_limit_response(int(MINUTE)))
    return account | {"rate": (limit, limit - call.context.rate_windows.count_used(window, MINUTE))}


def paginate(call: Call, rows: list[Record]) -> Record:
    """Return one page: at most `page_size` rows after the bookmark."""
    query = call.request.query
    size, start = query.get("page_size", "25"), query.get("bookmark") or "0"
    if not size.isdecimal() or not 0 < int(size) <= 250 or not start.isdecimal():  # noqa: PLR2004 - the vendor's
        raise invalid("Invalid request: page_size must be from 1 to 250, bookmark one that was given out.")
    end = int(start) + int(size)
    return {"items": rows[int(start) : end], "bookmark": str(end) if end < len(rows) else None}


CONSENT = ConsentScreen(**TABLE["consent"])


def _parse_client(call: Call) -> tuple[str | None, str | None]:
    """Return the client id and secret of HTTP Basic authentication."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client, _, secret = decoded.partition(":")
    return (client, secret) if scheme == "Basic" else (None, None)


def _check_form(call: Call, _: Record) -> None:
    if call.request.content_type != FORM:
        raise invalid(f"Invalid request: the body must be {FORM}.")


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    render=error_response,
    respond=ok,
    check=_check_form,
    read_client=_parse_client,
    **TABLE["tokens"],
)
