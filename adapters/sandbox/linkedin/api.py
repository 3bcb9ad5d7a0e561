"""Responses of the LinkedIn sandbox, required headers, what a token may act for; members, organizations and OAuth.

A refresh token, for approved partners only (option `partner`), is valid for 365 days from the first consent and does
not rotate.

learn.microsoft.com/linkedin/marketing (versioning, rate-limits, posts-api), "Sign In with LinkedIn using OpenID
Connect", "Profile API" and "Organization Access Control by Role", read 2026-11-24.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

from aiohttp import web

from adapters.sandbox import oauth
from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Dialect, Refused, fill, json_response, load_table
from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import TokenEndpoint
from adapters.sandbox.store import Record

PLATFORM = "linkedin"
TABLE = load_table(PLATFORM)
PERSON, ORGANIZATION = "urn:li:person:", "urn:li:organization:"
WRITE = {PERSON: "w_member_social", ORGANIZATION: "w_organization_social"}
COMMENT = {PERSON: "w_member_social_feed", ORGANIZATION: "w_organization_social_feed"}
READ_COMMENTS = "r_organization_social_feed"
READ_ORGANIZATION, LIST_ORGANIZATIONS = "r_organization_social", "rw_organization_admin"
BASIC = "r_basicprofile"
SCOPES = (
    *("openid", "profile", BASIC, *WRITE.values(), READ_ORGANIZATION, LIST_ORGANIZATIONS),
    *(COMMENT[ORGANIZATION], READ_COMMENTS),
)
"""Every scope that an app can be granted."""

_MAX_PAGE = 100
_ENCODED = re.compile(r"urn(%3A|%3a)li(%3A|%3a)")
_ROLE = "ADMINISTRATOR"


def error_response(
    status: int, code: str, message: str, service: int = 100, *, wait: int | None = None
) -> web.Response:
    """Return an error response; `wait` is the Retry-After in seconds."""
    body = {"status": status, "code": code, "message": message, "serviceErrorCode": service}
    return json_response(body, status, wait=wait)


DIALECT = Dialect(error_response, TABLE["errors"], requests=TABLE["requests"])
refuse = DIALECT.refuse


def check_headers(call: Call) -> None:
    """Raise Refused unless the headers of the versioned API are present and valid."""
    headers = call.request.headers
    version = headers.get("LinkedIn-Version")
    if version is None:
        raise refuse("version_missing")
    if version not in TABLE["versions"]:
        raise Refused(json_response(fill(TABLE["answers"]["version"], version=version), 426))
    if headers.get("X-Restli-Protocol-Version") != "2.0.0":
        raise refuse("protocol")


def authenticate(call: Call) -> Record:
    """Return the account of the token after checking the versioned API's headers; raises Refused."""
    if not call.request.headers.get("Authorization"):
        raise refuse("empty_token")
    check_headers(call)
    return call.authenticate()


def _get_token(call: Call) -> Record:
    if (found := call.find_token()) is None:
        raise refuse("unknown_token")
    return found


def has_scope(call: Call, account: Record, *scopes: str) -> bool:
    """Return True if the token has one of these scopes."""
    granted = call.context.accounts.list_granted_scopes(_get_token(call), account)
    return any(scope in granted for scope in scopes)


def authorize_author(
    call: Call, urn: object, name: str, scopes: Mapping[str, str] = WRITE, denied: str = "missing_scope"
) -> Record:
    """Return the account `urn`, given in field `name`. Raises Refused unless the token may write for it.

    `scopes`: the scope by the beginning of the URN; `denied`: the row of the error without it.
    """
    account = authenticate(call)
    if not isinstance(urn, str) or not urn:
        raise refuse("missing_field", name=name)
    author_prefix = next((prefix for prefix in WRITE if urn.startswith(prefix)), None)
    if author_prefix is None:
        raise refuse("no_author", name=name, urn=urn)
    if not has_scope(call, account, scopes[author_prefix]):
        raise refuse(denied, action="CREATE")
    if urn == account["remote_id"]:
        return account
    other = call.context.accounts.find(PLATFORM, urn)
    if other is None or f"{PLATFORM}:{urn}" not in _get_token(call).get("acts_for", ()):
        raise refuse("foreign_author", urn=urn)
    return other


def get_path_urn(call: Call) -> str:
    """Return the URN in the path; raises Refused unless it is percent-encoded."""
    if not _ENCODED.search(call.request.raw_path):
        raise refuse("unencoded_urn")
    return call.request.match_info["urn"]


def paginate(call: Call, rows: Sequence[Record]) -> Record:
    """Return the page of `rows` that `start` and `count` ask for, 10 rows if not given and 100 at most."""
    start, count = call.read_number("start", 0, "bad_page"), call.read_number("count", 10, "bad_page")
    paging = {"start": start, "count": count, "links": [], "total": len(rows)}
    return {"paging": paging, "elements": list(rows[start : start + min(count, _MAX_PAGE)])}


def find_owner(call: Call, urn: object) -> Record | None:
    """Return the account `urn`, else the account of the token, to match faults."""
    found = call.context.accounts.find(PLATFORM, urn) if isinstance(urn, str) else None
    return found or call.find_token_owner(call.find_token())


def acts_for(call: Call, account: Record, urn: str) -> bool:
    """Return True if the token is the account's own and `urn` names it, or one that it may act for."""
    mine = (f"{PLATFORM}:{account['remote_id']}", *_get_token(call).get("acts_for", ()))
    return f"{PLATFORM}:{urn}" in mine


def _get_names(account: Record) -> Record:
    """Return what the profiles show of a member; an organization has a derived administrator's id."""
    remote_id, name = str(account["remote_id"]), account["display_name"]
    number = hashlib.sha256(remote_id.encode()).hexdigest()[:10]
    if remote_id.startswith(PERSON):
        number = remote_id.removeprefix(PERSON)
    first, _, last = name.partition(" ")
    return {"id": number, "name": name, "first": first, "last": last}


async def read_me(call: Call) -> web.Response:
    """GET /v2/me, for a token with the scope r_basicprofile."""
    return json_response(fill(TABLE["answers"]["me"], **_get_names(call.authenticate(BASIC))))


async def read_userinfo(call: Call) -> web.Response:
    """GET /v2/userinfo, for a token with the scopes openid and profile."""
    return json_response(fill(TABLE["answers"]["userinfo"], **_get_names(call.authenticate("openid"))))


def _list_organizations(call: Call, account: Record) -> list[str]:
    urns = [account["remote_id"]]
    urns += [urn.removeprefix(f"{PLATFORM}:") for urn in _get_token(call).get("acts_for", ())]
    return [urn for urn in urns if urn.startswith(ORGANIZATION)]


async def list_acls(call: Call) -> web.Response:
    """GET /rest/organizationAcls?q=roleAssignee, paged by `start` and `count`."""
    account, query = authenticate(call), call.request.query
    if not has_scope(call, account, LIST_ORGANIZATIONS):
        raise refuse("missing_scope")
    if query.get("q") != "roleAssignee":
        raise refuse("no_assignee")
    is_listed = (query.get("role", _ROLE), query.get("state", "APPROVED")) == (_ROLE, "APPROVED")
    member = PERSON + _get_names(account)["id"]
    rows = [
        {"role": _ROLE, "state": "APPROVED", "organization": urn, "roleAssignee": member}
        for urn in _list_organizations(call, account)
        if is_listed
    ]
    return json_response(paginate(call, rows))


async def read_organization(call: Call, account: Record) -> web.Response:
    """GET /rest/organizations/{id}."""
    number = call.request.match_info["id"]
    found = call.context.accounts.find(PLATFORM, ORGANIZATION + number)
    if found is None:
        raise refuse("not_found", urn=number)
    if found["remote_id"] not in _list_organizations(call, account):
        raise refuse("missing_scope")
    return json_response(fill(TABLE["answers"]["organization"], id=int(number), account=found))


def _get_code_fields(context: SandboxContext, given: Record, chosen: list[Record]) -> Record:
    """Return the fields of an authorization code: granted scopes, and the organizations the member administers.

    They are named by option `administers` (usernames), else all.
    """
    person = chosen[0]
    possible = person["options"].get("scopes", SCOPES)
    more: Record = {"scopes": [scope for scope in parse_scopes(given) if scope in possible]}
    if person["remote_id"].startswith(PERSON):
        named = person["options"].get("administers")
        more["acts_for"] = [
            f"{PLATFORM}:{one['remote_id']}"
            for one in context.accounts.list_all(PLATFORM)
            if one["remote_id"].startswith(ORGANIZATION) and (named is None or one["username"] in named)
        ]
    return more


CONSENT = ConsentScreen(code_fields=_get_code_fields, **TABLE["consent"])
TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=Dialect(oauth.error_response, TABLE["oauth_errors"]),
    render=oauth.error_response,
    **TABLE["tokens"],
)
