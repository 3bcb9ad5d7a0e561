"""Responses of the YouTube sandbox: Google's error envelope, and the daily quota of a project.

The day ends at midnight Pacific time. developers.google.com/youtube/v3/determine_quota_cost, read 2026-11-24: 100
videos.insert calls, 10 000 units of all other calls. The page does not say whether the start or the end of an upload is
charged; the sandbox charges the start.
"""

import hashlib

from aiohttp import web

from adapters.sandbox.clock import DailyQuota
from adapters.sandbox.endpoint import Call, make_dialect, read_bearer_token
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import load_table

PLATFORM = "youtube"
TABLE = load_table(PLATFORM)
UPLOAD = "https://www.googleapis.com/auth/youtube.upload"
READONLY = "https://www.googleapis.com/auth/youtube.readonly"
FULL_ACCESS = ("https://www.googleapis.com/auth/youtube", "https://www.googleapis.com/auth/youtube.force-ssl")
MAY_UPLOAD = (UPLOAD, *FULL_ACCESS)
MAY_READ = (READONLY, *FULL_ACCESS)

_ZONE = "America/Los_Angeles"
INSERTS = ("youtube.inserts", 100)
UNITS = ("youtube.units", 10_000)


def ok(body: Record) -> web.Response:
    """Return a success response."""
    return json_response(body)


def error_response(status: int, reason: str, message: str, *, wait: int | None = None) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    headers = {}
    detail: Record = {
        "domain": TABLE["domains"].get(reason, "youtube.video"),
        "reason": reason,
        "message": message,
    }
    error: Record = {"code": status, "message": message, "errors": [detail]}
    if status == 401:  # noqa: PLR2004 - HTTP's own number
        detail |= {"location": "Authorization", "locationType": "header"}
        error["status"] = "UNAUTHENTICATED"
    if reason == "authError":
        realm = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
        headers["WWW-Authenticate"] = realm
    return json_response({"error": error}, status, headers, wait=wait)


def refuse(reason: str, message: str, status: int = 400) -> Refused:
    """Return the exception that responds with this error."""
    return Refused(error_response(status, reason, message))


def make_etag(record: Record) -> str:
    """Return an ETag that changes with the record."""
    return hashlib.sha256(encode(record).encode()).hexdigest()[:27]


def quota_response() -> web.Response:
    """Return the error for the project's exhausted daily quota."""
    return error_response(
        403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota."
    )


def refuse_quota(_: Call) -> web.Response:
    """Return the error for the project's exhausted daily quota."""
    return quota_response()


def spend(call: Call, quota: tuple[str, int] = UNITS) -> None:
    """Charge one call to a quota of the project's day; raises Refused."""
    if not DailyQuota(call.context, _ZONE).take(*quota):
        raise Refused(quota_response())


def _read_token(call: Call) -> str | None:
    return read_bearer_token(call) or call.request.query.get("access_token")


DIALECT = make_dialect(error_response, TABLE["errors"], _read_token)
