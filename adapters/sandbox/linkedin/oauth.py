"""LinkedIn's token endpoint: access tokens of 60 days; refresh tokens for approved partners only.

A refresh token is valid for 365 days from the first consent and does not rotate. Partners: option `partner`.
"""

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import make_dialect
from adapters.sandbox.linkedin import api, members
from adapters.sandbox.oauth import TokenEndpoint
from adapters.sandbox.responses import json_response
from adapters.sandbox.store import Record


def _error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    return json_response({"error": error, "error_description": description}, status, wait=wait)


def _get_code_fields(context: SandboxContext, given: Record, chosen: list[Record]) -> Record:
    """Return the fields of an authorization code: granted scopes, and the organizations the person administers."""
    person = chosen[0]
    possible = person["options"].get("scopes", api.SCOPES)
    more: Record = {"scopes": [scope for scope in parse_scopes(given) if scope in possible]}
    if person["remote_id"].startswith(api.PERSON):
        more["acts_for"] = [
            f"{api.PLATFORM}:{one['remote_id']}" for one in members.list_administered(context, person)
        ]
    return more


CONSENT = ConsentScreen(code_fields=_get_code_fields, **api.TABLE["consent"])
TOKENS = TokenEndpoint(
    platform=api.PLATFORM,
    dialect=make_dialect(_error_response, api.TABLE["oauth_errors"]),
    render=_error_response,
    **api.TABLE["tokens"],
)
