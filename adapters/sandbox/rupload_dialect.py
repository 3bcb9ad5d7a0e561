"""How rupload.facebook.com says no, for every platform that sends bytes there."""

from aiohttp import web

from adapters.sandbox.endpoint import Voice
from adapters.sandbox.responses import json_answer


def no(
    kind: str, message: str, *, status: int = 400, retriable: bool = False, wait: int | None = None
) -> web.Response:
    """A no."""
    headers = None if wait is None else {"Retry-After": str(wait)}
    return json_answer(
        {"debug_info": {"retriable": retriable, "type": kind, "message": message}}, status, headers
    )


VOICE = Voice(
    presented=lambda call: call.request.headers.get("Authorization", "").partition("OAuth ")[2] or None,
    unknown_token=lambda: no("NotAuthorizedError", "Invalid access token", status=401),
    expired=lambda: no("NotAuthorizedError", "Access token has expired", status=401),
    revoked=lambda: no("NotAuthorizedError", "Access token was revoked", status=401),
    lacks_scope=lambda scope: no("NotAuthorizedError", f"Permission {scope} is missing", status=403),
    rate_limited=lambda wait: no(
        "RateLimitedError", "Too many requests", status=429, retriable=True, wait=wait
    ),
    server_error=lambda: no("ServerError", "Internal error", status=500, retriable=True),
    malformed=lambda: no("ProcessingFailedError", "Request processing failed"),
)
