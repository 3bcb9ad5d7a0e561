"""LinkedIn members, organizations and OAuth: a token's member, the organizations it administers, the token endpoint.

A refresh token, for approved partners only (option `partner`), is valid for 365 days from the first consent and does
not rotate.

learn.microsoft.com: "Sign In with LinkedIn using OpenID Connect", "Profile API" and "Organization Access Control by
Role", read 2026-11-24.
"""

import hashlib
import re

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.linkedin import api
from adapters.sandbox.oauth import TokenEndpoint
from adapters.sandbox.responses import json_response
from adapters.sandbox.store import Record

ROLES = ("ADMINISTRATOR", "CONTENT_ADMIN", "DIRECT_SPONSORED_CONTENT_POSTER")
_IDS = re.compile(r"List\(([\d,]*)\)\Z")


def list_administered(context: SandboxContext, person: Record) -> list[Record]:
    """Return the organizations a member may post for: by option `administers` (usernames), else all."""
    named = person["options"].get("administers")
    return [
        account
        for account in context.store.get_all("account").values()
        if account["platform"] == api.PLATFORM
        and account["remote_id"].startswith(api.ORGANIZATION)
        and (named is None or account["username"] in named)
    ]


def get_person_id(account: Record) -> str:
    """Return the member id of an account; an organization has a derived administrator's id."""
    if account["remote_id"].startswith(api.PERSON):
        return str(account["remote_id"].removeprefix(api.PERSON))
    return hashlib.sha256(account["remote_id"].encode()).hexdigest()[:10]


async def read_me(call: Call) -> web.Response:
    """GET /v2/me, for a token with the scope r_basicprofile."""
    account = call.authenticate(api.BASIC)
    first, _, last = account["display_name"].partition(" ")
    return api.ok({"id": get_person_id(account), "localizedFirstName": first, "localizedLastName": last})


async def read_userinfo(call: Call) -> web.Response:
    """GET /v2/userinfo, for a token with the scopes openid and profile."""
    account = call.authenticate("openid")
    name = account["display_name"]
    first, _, last = name.partition(" ")
    body = {"sub": get_person_id(account), "name": name, "given_name": first, "family_name": last}
    body |= {
        "picture": "https://media.licdn.example/picture.jpg",
        "locale": {"country": "US", "language": "en"},
    }
    return api.ok(body)


def _list_organizations(call: Call, account: Record) -> list[str]:
    prefix = f"{api.PLATFORM}:"
    mine = [urn.removeprefix(prefix) for urn in api.get_token(call).get("acts_for", ())]
    own = [account["remote_id"]] if account["remote_id"].startswith(api.ORGANIZATION) else []
    return own + [urn for urn in mine if urn.startswith(api.ORGANIZATION)]


async def list_acls(call: Call) -> web.Response:
    """GET /rest/organizationAcls?q=roleAssignee, paged by `start` and `count`."""
    account = api.authenticate(call)
    if not api.has_scope(call, account, api.LIST_ORGANIZATIONS):
        raise api.deny()
    query = call.request.query
    if query.get("q") != "roleAssignee":
        raise api.refuse("ILLEGAL_ARGUMENT", "The parameter q must be roleAssignee")
    role, state = query.get("role", ROLES[0]), query.get("state", "APPROVED")
    rows = [
        {
            "role": ROLES[0],
            "state": "APPROVED",
            "organization": urn,
            "roleAssignee": api.PERSON + get_person_id(account),
        }
        for urn in _list_organizations(call, account)
        if (role, state) == (ROLES[0], "APPROVED")
    ]
    return api.ok(api.paginate(query, rows))


def _organization_to_dict(call: Call, number: str) -> Record | None:
    found = call.context.accounts.find(api.PLATFORM, api.ORGANIZATION + number)
    if found is None:
        return None
    body: Record = {
        "id": int(number),
        "localizedName": found["display_name"],
        "vanityName": found["username"],
    }
    return body | {"$URN": found["remote_id"], "primaryOrganizationType": "NONE"}


async def read_organization(call: Call) -> web.Response:
    """GET /rest/organizations/{id}."""
    account = api.authenticate(call)
    number = call.request.match_info["id"]
    body = _organization_to_dict(call, number)
    if body is None:
        raise api.refuse("RESOURCE_NOT_FOUND", f"Could not find entity {number}", 404)
    if body["$URN"] not in _list_organizations(call, account):
        raise api.deny()
    return api.ok(body)


async def list_organizations(call: Call) -> web.Response:
    """GET /rest/organizations?ids=List(1,2)."""
    account = api.authenticate(call)
    match = _IDS.match(call.request.query.get("ids", ""))
    if match is None:
        raise api.refuse("ILLEGAL_ARGUMENT", "The parameter ids must be List(…)")
    mine = _list_organizations(call, account)
    found = {number: _organization_to_dict(call, number) for number in match[1].split(",") if number}
    results = {number: body for number, body in found.items() if body is not None and body["$URN"] in mine}
    return api.ok({"results": results, "statuses": {}, "errors": {}})


def _error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    return json_response({"error": error, "error_description": description}, status, wait=wait)


def _get_code_fields(context: SandboxContext, given: Record, chosen: list[Record]) -> Record:
    """Return the fields of an authorization code: granted scopes, and the organizations the member administers."""
    person = chosen[0]
    possible = person["options"].get("scopes", api.SCOPES)
    more: Record = {"scopes": [scope for scope in parse_scopes(given) if scope in possible]}
    if person["remote_id"].startswith(api.PERSON):
        more["acts_for"] = [
            f"{api.PLATFORM}:{one['remote_id']}" for one in list_administered(context, person)
        ]
    return more


CONSENT = ConsentScreen(code_fields=_get_code_fields, **api.TABLE["consent"])
TOKENS = TokenEndpoint(
    platform=api.PLATFORM,
    dialect=make_dialect(_error_response, api.TABLE["oauth_errors"]),
    render=_error_response,
    **api.TABLE["tokens"],
)
