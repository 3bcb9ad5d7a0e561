"""How the Pinterest stand-in words its answers, and what its rate limits are.

Limits: developers.pinterest.com/docs/reference/rate-limits, read 2026-11-24: per person and app 100 writes and 1000
reads a minute; an app with Trial access (option `trial`) 300 writes a day. The codes of 429 and 5xx are guesses.
"""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Dialect
from adapters.sandbox.rate_windows import DAY, MINUTE
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

PLATFORM = "pinterest"
_WRITES_A_MINUTE = 100
_READS_A_MINUTE = 1000
_TRIAL_WRITES_A_DAY = 300
_RATE_LIMIT = 8


def ok(body: object, account: Record | None = None, status: int = 200) -> web.Response:
    """A yes."""
    return json_response(body, status, None if account is None else _told(account))


def _told(account: Record) -> dict[str, str]:
    limit, remaining = account["rate"]
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": "60",
    }


def error_response(
    status: int, code: int, message: str, *, headers: dict[str, str] | None = None, more: Record | None = None
) -> web.Response:
    """A no."""
    return json_response({"code": code, "message": message, **(more or {})}, status, headers)


def invalid(message: str) -> Refused:
    """The refusal of a bad parameter."""
    return Refused(error_response(400, 1, message))


def limited(wait: int) -> web.Response:
    """Too many requests."""
    headers = {"Retry-After": str(wait), "x-ratelimit-limit": "100", "x-ratelimit-remaining": "0"}
    headers["x-ratelimit-reset"] = str(wait)
    return error_response(
        429, _RATE_LIMIT, "You have exceeded your rate limit. Try again later.", headers=headers
    )


def _spam() -> web.Response:
    detail = {"message_detail": "Your account has been blocked from this action because of spam."}
    return error_response(429, _RATE_LIMIT, "This action was blocked.", more=detail)


def read_token(call: Call) -> str | None:
    """The access token."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" and text else None


DIALECT = Dialect(
    read_token=read_token,
    unknown_token=lambda: error_response(401, 2, "Authentication failed."),
    expired=lambda: error_response(401, 2, "Authentication failed."),
    revoked=lambda: error_response(401, 2, "Authentication failed."),
    missing_scope=lambda _: error_response(403, 29, "You are not permitted to access that resource."),
    rate_limited=limited,
    server_error=lambda: error_response(500, 12, "Something went wrong on our end. Sorry about that."),
    malformed=lambda: error_response(400, 1, "Invalid request: the body is not a JSON object."),
    spam_blocked=_spam,
)


def writer(call: Call, *scopes: str) -> Record:
    """The account behind the token, with room for one more write; raises Refused."""
    account = call.authenticate(*scopes)
    key = account["remote_id"]
    if account["options"].get("trial"):
        window = f"pinterest.trial:{key}"
        if not call.context.rate_windows.take(window, _TRIAL_WRITES_A_DAY, DAY):
            raise Refused(limited(int(DAY)))
    return _counted(call, account, f"pinterest.write:{key}", _WRITES_A_MINUTE)


def reader(call: Call, *scopes: str) -> Record:
    """The account behind the token, with room for one more read; raises Refused."""
    account = call.authenticate(*scopes)
    return _counted(call, account, f"pinterest.read:{account['remote_id']}", _READS_A_MINUTE)


def _counted(call: Call, account: Record, window: str, limit: int) -> Record:
    if not call.context.rate_windows.take(window, limit, MINUTE):
        raise Refused(limited(int(MINUTE)))
    return account | {"rate": (limit, limit - call.context.rate_windows.count_used(window, MINUTE))}


def page_of(call: Call, rows: list[Record]) -> Record:
    """`page_size` rows behind the bookmark."""
    query = call.request.query
    size, start = query.get("page_size", "25"), query.get("bookmark") or "0"
    if not size.isdecimal() or not 0 < int(size) <= 250 or not start.isdecimal():  # noqa: PLR2004 - the vendor's
        raise invalid("Invalid request: page_size must be from 1 to 250, bookmark one that was given out.")
    end = int(start) + int(size)
    return {"items": rows[int(start) : end], "bookmark": str(end) if end < len(rows) else None}
