"""Responses of the YouTube sandbox: Google's error envelope."""

import hashlib

from aiohttp import web

from adapters.sandbox.endpoint import Call, Dialect
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record

PLATFORM = "youtube"
UPLOAD = "https://www.googleapis.com/auth/youtube.upload"
READONLY = "https://www.googleapis.com/auth/youtube.readonly"
FULL_ACCESS = ("https://www.googleapis.com/auth/youtube", "https://www.googleapis.com/auth/youtube.force-ssl")
MAY_UPLOAD = (UPLOAD, *FULL_ACCESS)
MAY_READ = (READONLY, *FULL_ACCESS)

_DOMAINS = {
    "quotaExceeded": "youtube.quota",
    "rateLimitExceeded": "usageLimits",
    "authError": "global",
    "backendError": "global",
    "insufficientPermissions": "global",
}


def ok(body: Record) -> web.Response:
    """Return a success response."""
    return json_response(body)


def error_response(
    status: int,
    reason: str,
    message: str,
    *,
    domain: str | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Return an error response."""
    detail: Record = {
        "domain": domain or _DOMAINS.get(reason, "youtube.video"),
        "reason": reason,
        "message": message,
    }
    error: Record = {"code": status, "message": message, "errors": [detail]}
    if status == 401:  # noqa: PLR2004 - HTTP's own number
        detail |= {"location": "Authorization", "locationType": "header"}
        error["status"] = "UNAUTHENTICATED"
    return json_response({"error": error}, status, headers)


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


def _read_token(call: Call) -> str | None:
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" and text else call.request.query.get("access_token")


def _unauthorized() -> web.Response:
    headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
    return error_response(401, "authError", "Invalid Credentials", headers=headers)


DIALECT = Dialect(
    read_token=_read_token,
    unknown_token=_unauthorized,
    expired=_unauthorized,
    revoked=_unauthorized,
    missing_scope=lambda _: error_response(
        403, "insufficientPermissions", "Request had insufficient authentication scopes."
    ),
    rate_limited=lambda wait: error_response(
        429,
        "uploadRateLimitExceeded",
        "The channel has uploaded too many videos recently. Please try again later.",
        headers={"Retry-After": str(wait)},
    ),
    server_error=lambda: error_response(503, "backendError", "Backend Error"),
    malformed=lambda: error_response(400, "parseError", "Parse Error", domain="global"),
)
