"""Who is who on the LinkedIn stand-in: the member of a token, and the organizations a member may post for.

learn.microsoft.com: "Sign In with LinkedIn using OpenID Connect", "Profile API" and "Organization Access Control by
Role", read 2026-11-24.
"""

import hashlib
import re
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.linkedin.dialect import (
    BASIC,
    DIALECT,
    LIST_ORGANIZATIONS,
    ORGANIZATION,
    PERSON,
    PLATFORM,
    denied,
    error_response,
    may,
    member,
    ok,
    refuse,
    token,
)
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

ROLES = ("ADMINISTRATOR", "CONTENT_ADMIN", "DIRECT_SPONSORED_CONTENT_POSTER")
_IDS = re.compile(r"List\(([\d,]*)\)\Z")


def administered(context: "SandboxContext", person: Record) -> list[Record]:
    """The organizations a person may post for: those of option `administers` (usernames), else all there are."""
    named = person["options"].get("administers")
    return [
        account
        for account in context.store.get_all("account").values()
        if account["platform"] == PLATFORM
        and account["remote_id"].startswith(ORGANIZATION)
        and (named is None or account["username"] in named)
    ]


def person_of(account: Record) -> str:
    """The id of the member behind a token; behind one made for an organization stands some administrator."""
    if account["remote_id"].startswith(PERSON):
        return str(account["remote_id"].removeprefix(PERSON))
    return hashlib.sha256(account["remote_id"].encode()).hexdigest()[:10]


async def me(call: Call) -> web.Response:
    """GET /v2/me, for a token with the scope r_basicprofile."""
    account = call.authenticate(BASIC)
    first, _, last = account["display_name"].partition(" ")
    return ok({"id": person_of(account), "localizedFirstName": first, "localizedLastName": last})


async def userinfo(call: Call) -> web.Response:
    """GET /v2/userinfo, for a token with the scopes openid and profile."""
    account = call.authenticate("openid")
    name = account["display_name"]
    first, _, last = name.partition(" ")
    told = {"sub": person_of(account), "name": name, "given_name": first, "family_name": last}
    told |= {
        "picture": "https://media.licdn.example/picture.jpg",
        "locale": {"country": "US", "language": "en"},
    }
    return ok(told)


def _organizations(call: Call, account: Record) -> list[str]:
    prefix = f"{PLATFORM}:"
    mine = [urn.removeprefix(prefix) for urn in token(call).get("acts_for", ())]
    own = [account["remote_id"]] if account["remote_id"].startswith(ORGANIZATION) else []
    return own + [urn for urn in mine if urn.startswith(ORGANIZATION)]


async def acls(call: Call) -> web.Response:
    """GET /rest/organizationAcls?q=roleAssignee."""
    account = member(call)
    if not may(call, account, LIST_ORGANIZATIONS):
        raise denied()
    query = call.request.query
    if query.get("q") != "roleAssignee":
        raise refuse("ILLEGAL_ARGUMENT", "The parameter q must be roleAssignee")
    role, state = query.get("role", ROLES[0]), query.get("state", "APPROVED")
    rows = [
        {
            "role": ROLES[0],
            "state": "APPROVED",
            "organization": urn,
            "roleAssignee": PERSON + person_of(account),
        }
        for urn in _organizations(call, account)
        if (role, state) == (ROLES[0], "APPROVED")
    ]
    return ok({"paging": {"start": 0, "count": 10, "links": [], "total": len(rows)}, "elements": rows})


def _told(call: Call, number: str) -> Record | None:
    found = call.context.accounts.find(PLATFORM, ORGANIZATION + number)
    if found is None:
        return None
    told: Record = {
        "id": int(number),
        "localizedName": found["display_name"],
        "vanityName": found["username"],
    }
    return told | {"$URN": found["remote_id"], "primaryOrganizationType": "NONE"}


async def organization(call: Call) -> web.Response:
    """GET /rest/organizations/{id}."""
    account = member(call)
    number = call.request.match_info["id"]
    told = _told(call, number)
    if told is None:
        raise Refused(error_response(404, "RESOURCE_NOT_FOUND", f"Could not find entity {number}"))
    if told["$URN"] not in _organizations(call, account):
        raise denied()
    return ok(told)


async def organizations(call: Call) -> web.Response:
    """GET /rest/organizations?ids=List(1,2)."""
    account = member(call)
    match = _IDS.match(call.request.query.get("ids", ""))
    if match is None:
        raise refuse("ILLEGAL_ARGUMENT", "The parameter ids must be List(…)")
    mine = _organizations(call, account)
    found = {number: _told(call, number) for number in match[1].split(",") if number}
    results = {number: told for number, told in found.items() if told is not None and told["$URN"] in mine}
    return ok({"results": results, "statuses": {}, "errors": {}})


USERINFO = Endpoint(platform=PLATFORM, step="oauth", handle=userinfo, dialect=DIALECT)
ME = Endpoint(platform=PLATFORM, step="oauth", handle=me, dialect=DIALECT)
ACLS = Endpoint(platform=PLATFORM, step="oauth", handle=acls, dialect=DIALECT)
ORGANIZATION_NODE = Endpoint(platform=PLATFORM, step="oauth", handle=organization, dialect=DIALECT)
ORGANIZATIONS = Endpoint(platform=PLATFORM, step="oauth", handle=organizations, dialect=DIALECT)
