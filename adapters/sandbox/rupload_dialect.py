"""Error responses of rupload.facebook.com, the upload host of Instagram and Facebook."""

from aiohttp import web

from adapters.sandbox.endpoint import Dialect
from adapters.sandbox.responses import json_response


def error_response(
    kind: str, message: str, *, status: int = 400, retriable: bool = False, wait: int | None = None
) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    headers = None if wait is None else {"Retry-After": str(wait)}
    return json_response(
        {"debug_info": {"retriable": retriable, "type": kind, "message": message}}, status, headers
    )


DIALECT = Dialect(
    read_token=lambda call: call.request.headers.get("Authorization", "").partition("OAuth ")[2] or None,
    unknown_token=lambda: error_response("NotAuthorizedError", "Invalid access token", status=401),
    expired=lambda: error_response("NotAuthorizedError", "Access token has expired", status=401),
    revoked=lambda: error_response("NotAuthorizedError", "Access token was revoked", status=401),
    missing_scope=lambda scope: error_response(
        "NotAuthorizedError", f"Permission {scope} is missing", status=403
    ),
    rate_limited=lambda wait: error_response(
        "RateLimitedError", "Too many requests", status=429, retriable=True, wait=wait
    ),
    server_error=lambda: error_response("ServerError", "Internal error", status=500, retriable=True),
    malformed=lambda: error_response("ProcessingFailedError", "Request processing failed"),
)
