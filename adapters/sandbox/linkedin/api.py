"""Responses of the LinkedIn sandbox, required headers, and what a token may act for.

learn.microsoft.com/linkedin/marketing (versioning, rate-limits, posts-api), read 2026-11-24.
"""

import re
from collections.abc import Mapping, Sequence

from aiohttp import web

from adapters.sandbox.clock import DAY
from adapters.sandbox.endpoint import Call, make_dialect, read_bearer_token
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import load_table

PLATFORM = "linkedin"
TABLE = load_table(PLATFORM)
PERSON, ORGANIZATION = "urn:li:person:", "urn:li:organization:"
WRITE = {PERSON: "w_member_social", ORGANIZATION: "w_organization_social"}
READ_ORGANIZATION, LIST_ORGANIZATIONS = "r_organization_social", "rw_organization_admin"
BASIC = "r_basicprofile"
SCOPES = ("openid", "profile", BASIC, *WRITE.values(), READ_ORGANIZATION, LIST_ORGANIZATIONS)
"""Every scope that an app can be granted."""

_MAX_PAGE = 100
_ENCODED = re.compile(r"urn(%3A|%3a)li(%3A|%3a)")


def ok(body: object) -> web.Response:
    """Return a success response."""
    return json_response(body)


def error_response(
    status: int, code: str, message: str, service: int = 100, *, wait: int | None = None
) -> web.Response:
    """Return an error response; `wait` is the Retry-After in seconds."""
    body = {"status": status, "code": code, "message": message, "serviceErrorCode": service}
    return json_response(body, status, wait=wait)


def refuse(code: str, message: str, status: int = 400) -> Refused:
    """Return the exception that responds with this error."""
    return Refused(error_response(status, code, message))


def deny(message: str = TABLE["errors"]["missing_scope"][2]) -> Refused:
    """Return the exception that responds with 403 ACCESS_DENIED."""
    return Refused(error_response(403, "ACCESS_DENIED", message))


def quota_response(wait: int) -> web.Response:
    """Return the error for an exhausted rate limit; `wait` in seconds."""
    return error_response(*TABLE["errors"]["rate_limited"], wait=wait)


def refuse_day(_: Call) -> web.Response:
    """Return the error for an exhausted daily limit."""
    return quota_response(int(DAY))


DIALECT = make_dialect(error_response, TABLE["errors"])


def check_headers(call: Call) -> None:
    """Raise Refused unless the headers of the versioned API are present and valid."""
    headers = call.request.headers
    version = headers.get("LinkedIn-Version")
    if version is None:
        raise refuse("VERSION_MISSING", "A version must be present. Please specify a version in the header.")
    if version not in TABLE["versions"]:
        message = f"Requested version {version} is not active"
        raise Refused(json_response({"status": 426, "code": "NONEXISTENT_VERSION", "message": message}, 426))
    if headers.get("X-Restli-Protocol-Version") != "2.0.0":
        raise refuse("ILLEGAL_ARGUMENT", "The header X-Restli-Protocol-Version must be 2.0.0.")


def authenticate(call: Call) -> Record:
    """Return the account of the token after checking the versioned API's headers; raises Refused."""
    if not call.request.headers.get("Authorization"):
        raise Refused(error_response(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 access token", 65604))
    check_headers(call)
    return call.authenticate()


def get_token(call: Call) -> Record:
    """Return the record of the request's token; raises Refused."""
    found = call.context.accounts.find_token(PLATFORM, read_bearer_token(call) or "")
    if found is None:
        raise Refused(DIALECT.unknown_token())
    return found


def has_scope(call: Call, account: Record, *scopes: str) -> bool:
    """Return True if the token has one of these scopes."""
    granted = call.context.accounts.list_granted_scopes(get_token(call), account)
    return any(scope in granted for scope in scopes)


def authorize_author(call: Call, urn: object, name: str) -> Record:
    """Return the account `urn`, given in field `name`. Raises Refused unless the token may write for it."""
    account = authenticate(call)
    if not isinstance(urn, str) or not urn:
        raise refuse("MISSING_FIELD", f"Field {name} is required")
    author_prefix = next((prefix for prefix in WRITE if urn.startswith(prefix)), None)
    if author_prefix is None:
        raise refuse("INVALID_URN_TYPE", f"Field {name}: {urn} is neither a person nor an organization")
    if not has_scope(call, account, WRITE[author_prefix]):
        raise deny()
    if urn == account["remote_id"]:
        return account
    other = call.context.accounts.find(PLATFORM, urn)
    if other is None or f"{PLATFORM}:{urn}" not in get_token(call).get("acts_for", ()):
        raise deny(f"Organization permissions must be used when using organization as author: {urn}")
    return other


def get_path_urn(call: Call, name: str) -> str:
    """Return the URN in the path; raises Refused unless it is percent-encoded."""
    if not _ENCODED.search(call.request.raw_path):
        raise refuse("ILLEGAL_ARGUMENT", "URNs in a path must be percent-encoded.")
    return call.request.match_info[name]


def paginate(query: Mapping[str, str], rows: Sequence[Record]) -> Record:
    """Return the page of `rows` that `start` and `count` ask for, 10 rows if not given and 100 at most."""
    start, count = (_parse_int(query.get(name), default) for name, default in (("start", 0), ("count", 10)))
    paging = {"start": start, "count": count, "links": [], "total": len(rows)}
    return {"paging": paging, "elements": list(rows[start : start + min(count, _MAX_PAGE)])}


def _parse_int(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal():
        raise refuse("ILLEGAL_ARGUMENT", "start and count must be numbers")
    return int(text)


def find_token_owner(call: Call) -> Record | None:
    """Return the account of the token, or None."""
    found = call.context.accounts.find_token(PLATFORM, read_bearer_token(call) or "")
    return None if found is None else call.context.accounts.find(PLATFORM, found["remote_id"])


def acts_for(call: Call, account: Record, urn: str) -> bool:
    """Return True if the token is the account's own and `urn` names it, or one that it may act for."""
    mine = (f"{PLATFORM}:{account['remote_id']}", *get_token(call).get("acts_for", ()))
    return f"{PLATFORM}:{urn}" in mine
