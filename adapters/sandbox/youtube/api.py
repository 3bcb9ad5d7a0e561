"""Responses of the YouTube sandbox: Google's error envelope, the daily quota of a project, and Google's OAuth.

The day ends at midnight Pacific time. developers.google.com/youtube/v3/determine_quota_cost, read 2026-11-24: 100
videos.insert calls, 10 000 units of all other calls. The page does not say whether the start or the end of an upload is
charged; the sandbox charges the start.

Refresh tokens do not rotate. One is issued only for offline access, and only at the first consent unless the app asks
for another prompt: developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24.
"""

import hashlib

from aiohttp import web

from adapters.sandbox import oauth
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import Dialect, encode, json_response, load_table, read_bearer_token
from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, read_form
from adapters.sandbox.store import Record

PLATFORM = "youtube"
TABLE = load_table(PLATFORM)
_TESTING_S = 7 * DAY
_AGREED = "youtube.agreed"


def error_response(status: int, reason: str, message: str, *, wait: int | None = None) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    headers = {}
    domain = TABLE["domains"].get(reason, "youtube.video")
    detail: Record = {"domain": domain, "reason": reason, "message": message}
    error: Record = {"code": status, "message": message, "errors": [detail]}
    if status == 401:  # noqa: PLR2004 - HTTP's own number
        detail |= {"location": "Authorization", "locationType": "header"}
        error["status"] = "UNAUTHENTICATED"
    if reason == "authError":
        realm = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
        headers["WWW-Authenticate"] = realm
    return json_response({"error": error}, status, headers, wait=wait)


DIALECT = Dialect(
    error_response,
    TABLE["errors"],
    lambda call: read_bearer_token(call) or call.request.query.get("access_token"),
)
refuse = DIALECT.refuse


def authenticate(call: Call, scopes: str) -> Record:
    """Return the account of the token; `scopes` names a list of the table."""
    return call.authenticate(*TABLE[scopes])


def make_etag(record: Record) -> str:
    """Return an ETag that changes with the record."""
    return hashlib.sha256(encode(record).encode()).hexdigest()[:27]


def spend(call: Call, quota: str = "units") -> None:
    """Charge one call to a quota of the project's day; raises Refused."""
    call.count(TABLE["limits"][quota], "project")


def _get_code_fields(_: SandboxContext, given: Record, __: list[Record]) -> Record:
    is_offline, is_prompted = given.get("access_type") == "offline", "consent" in str(given.get("prompt", ""))
    return {"offline": is_offline, "prompted": is_prompted, "client": given["client_id"]}


CONSENT = ConsentScreen(
    allow_parameters=lambda given: {"scope": str(given.get("scope", ""))},
    code_fields=_get_code_fields,
    **TABLE["consent"],
)


def _has_refresh_token(call: Call, account: Record, code: Record) -> bool:
    if "grant" not in code:  # a code of the control API
        return True
    key = f"{account['remote_id']}:{code['client']}"
    has_agreed = call.context.store.get(_AGREED, key) is not None
    if code["offline"]:
        call.context.store.put(_AGREED, key, {})
    return bool(code["offline"] and (code["prompted"] or not has_agreed))


def _check_age(call: Call, account: Record, found: Record) -> None:
    """Refuse a token over a week old while the consent screen is in "Testing" (option `testing`)."""
    is_old = call.context.clock.now() >= found["issued_at"] + _TESTING_S
    if account["options"].get("testing") and is_old:
        raise GrantRefused("refresh.expired", "")


def _forget_consent(call: Call, account: Record) -> web.Response:
    for key in list(call.context.store.get_all(_AGREED)):
        if key.startswith(f"{account['remote_id']}:"):
            call.context.store.drop(_AGREED, key)
    return json_response({})


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=Dialect(oauth.error_response, TABLE["oauth_errors"], DIALECT.read_token),
    render=oauth.error_response,
    read=lambda call: read_form(call) | dict(call.request.query),
    has_refresh_token=_has_refresh_token,
    check_refresh=_check_age,
    revoked=_forget_consent,
    **TABLE["tokens"],
)
