"""How the LinkedIn stand-in answers: its error envelope, its headers, and for whom a token may act.

learn.microsoft.com/linkedin/marketing (versioning, rate-limits, posts-api), read 2026-11-24.
"""

import re

from aiohttp import web

from adapters.sandbox.endpoint import Call, Dialect
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

PLATFORM = "linkedin"
PERSON, ORGANIZATION = "urn:li:person:", "urn:li:organization:"
WRITE = {PERSON: "w_member_social", ORGANIZATION: "w_organization_social"}
READ_ORGANIZATION, LIST_ORGANIZATIONS = "r_organization_social", "rw_organization_admin"
BASIC = "r_basicprofile"
SCOPES = ("openid", "profile", BASIC, *WRITE.values(), READ_ORGANIZATION, LIST_ORGANIZATIONS)
"""Everything an app can be granted."""

_OLDEST_VERSION = 202512
"""A version is sunset about a year after it came out."""
_VERSION = re.compile(r"\d{4}(0[1-9]|1[0-2])\Z")
_ENCODED = re.compile(r"urn(%3A|%3a)li(%3A|%3a)")


def ok(body: object) -> web.Response:
    """A yes."""
    return json_response(body)


def error_response(
    status: int, code: str, message: str, *, service: int = 100, wait: int | None = None
) -> web.Response:
    """A no."""
    headers = None if wait is None else {"Retry-After": str(wait)}
    body = {"status": status, "code": code, "message": message, "serviceErrorCode": service}
    return json_response(body, status, headers)


def refuse(code: str, message: str, status: int = 400) -> Refused:
    """The refusal of a request."""
    return Refused(error_response(status, code, message))


def denied(message: str = "Not enough permissions to access this resource.") -> Refused:
    """403: not yours, or not granted."""
    return Refused(error_response(403, "ACCESS_DENIED", message))


def limited(wait: int) -> web.Response:
    """The day's calls are used up."""
    return error_response(
        429,
        "TOO_MANY_REQUESTS",
        "Resource level throttle limit for calls to this resource is reached.",
        service=101,
        wait=wait,
    )


def _read_token(call: Call) -> str | None:
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" and text else None


DIALECT = Dialect(
    read_token=_read_token,
    unknown_token=lambda: error_response(401, "INVALID_ACCESS_TOKEN", "Invalid access token", service=65600),
    expired=lambda: error_response(
        401, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired", service=65602
    ),
    revoked=lambda: error_response(
        401, "REVOKED_ACCESS_TOKEN", "The token used in the request has been revoked", service=65601
    ),
    missing_scope=lambda _: error_response(
        403, "ACCESS_DENIED", "Not enough permissions to access this resource."
    ),
    rate_limited=limited,
    server_error=lambda: error_response(500, "INTERNAL_SERVER_ERROR", "Internal Server Error", service=0),
    malformed=lambda: error_response(400, "INVALID_REQUEST_BODY", "The request body is not a JSON object."),
)


def versioned(call: Call) -> None:
    """Check the headers that every call of the versioned API needs; raises Refused."""
    headers = call.request.headers
    version = headers.get("LinkedIn-Version")
    if version is None:
        raise refuse("VERSION_MISSING", "A version must be present. Please specify a version in the header.")
    if not _VERSION.match(version) or int(version) < _OLDEST_VERSION:
        sentence = f"Requested version {version} is not active"
        raise Refused(json_response({"status": 426, "code": "NONEXISTENT_VERSION", "message": sentence}, 426))
    if headers.get("X-Restli-Protocol-Version") != "2.0.0":
        raise refuse("ILLEGAL_ARGUMENT", "The header X-Restli-Protocol-Version must be 2.0.0.")


def member(call: Call) -> Record:
    """The account of the token on a call of the versioned API."""
    if not call.request.headers.get("Authorization"):
        raise Refused(error_response(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 access token", service=65604))
    versioned(call)
    return call.authenticate()


def token(call: Call) -> Record:
    """What is known of the token that `member` has let pass."""
    found = call.context.accounts.find_token(PLATFORM, _read_token(call) or "")
    if found is None:
        raise Refused(DIALECT.unknown_token())
    return found


def may(call: Call, account: Record, *scopes: str) -> bool:
    """Whether the token has one of these scopes."""
    granted = call.context.accounts.list_granted_scopes(token(call), account)
    return any(scope in granted for scope in scopes)


def acting(call: Call, urn: object, name: str) -> Record:
    """The person or organization `urn` that the token may write for; raises Refused."""
    account = member(call)
    if not isinstance(urn, str) or not urn:
        raise refuse("MISSING_FIELD", f"Field {name} is required")
    sort = next((prefix for prefix in WRITE if urn.startswith(prefix)), None)
    if sort is None:
        raise refuse("INVALID_URN_TYPE", f"Field {name}: {urn} is neither a person nor an organization")
    if not may(call, account, WRITE[sort]):
        raise denied()
    if urn == account["remote_id"]:
        return account
    other = call.context.accounts.find(PLATFORM, urn)
    if other is None or f"{PLATFORM}:{urn}" not in token(call).get("acts_for", ()):
        raise denied(f"Organization permissions must be used when using organization as author: {urn}")
    return other


def urn_of(call: Call, name: str) -> str:
    """The URN in the path, which must have been percent-encoded there; raises Refused."""
    if not _ENCODED.search(call.request.raw_path):
        raise refuse("ILLEGAL_ARGUMENT", "URNs in a path must be percent-encoded.")
    return call.request.match_info[name]
