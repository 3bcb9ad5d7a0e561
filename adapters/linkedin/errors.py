"""LinkedIn's codes -> our error classes, one table by HTTP status and code.

A row is a refusal given *before* acting, unless it is ``ambiguous``: then it proves nothing after the visible call.
The envelope is a JSON object whose ``status`` is the HTTP status, with a code; ``error_table.translate_refusal``
says what counts without it. 422 DUPLICATE_POST has no row: ``find_duplicate`` reads it, as it may name our post.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/{posts-api,images-api,videos-api} and
…/versioning, through digests of 2026-06 to 2026-10, read 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus

from adapters import error_table
from adapters.error_table import (
    ErrorRow,
    Phase,
    time_until_utc_midnight,
    translate_refusal,
)
from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import Response
from adapters.linkedin import limits
from adapters.linkedin.wire import FORBIDDEN, SCHEMA_ERROR, ErrorBody, OAuthErrorBody
from adapters.transport import is_web_page

SERVICE = "LinkedIn"
build_unclear_error = partial(error_table.build_unclear_error, SERVICE)

GONE = "not_found"
DENIED = "permission_missing"
RESOURCE_FORBIDDEN = "resource_forbidden"
STALE_UPLOAD = "upload_expired"
DUPLICATE = "DUPLICATE_POST"
_POST_URN = re.compile(r"urn:li:(?:share|ugcPost):\d+")


_OPERATOR = "Ask the operator of this server: the LinkedIn settings have to change."

_BAD = ErrorRow(
    Rejected,
    "invalid_request",
    "LinkedIn refused the request as invalid.",
    "Check the caption and the media of the post.",
)
_EXPIRED = ErrorRow(CredentialsExpired, "credentials_expired", "LinkedIn no longer accepts the token.")
_REVOKED = ErrorRow(
    CredentialsRevoked,
    "reconnect_required",
    "The account's grant was revoked at LinkedIn.",
    "Connect the LinkedIn account again.",
)
_DENIED = ErrorRow(
    PermissionMissing,
    DENIED,
    "LinkedIn says the account's grant lacks the permission or the role this post needs.",
    "Check the member's role for the organization, then connect the LinkedIn account again.",
)
_VERSION = ErrorRow(
    AppRefused,
    "api_version_retired",
    "LinkedIn no longer serves the API version this server is set to.",
    f"Set SLIPWAY_LINKEDIN__VERSION to one that it serves, such as {max(limits.RETIREMENTS)}, and restart.",
)

_SPENT = ErrorRow(
    RateLimited,
    "rate_limited",
    "LinkedIn's daily allowance is spent; it resets at 00:00 UTC.",
    wait=time_until_utc_midnight,
)

ErrorTable = Mapping[tuple[int, str | None], ErrorRow]
"""By status and code; a row without a code holds for every other code of its status."""
TABLE: ErrorTable = {
    (400, "MISSING_FIELD"): _BAD,
    (400, "INVALID_VALUE_FOR_FIELD"): _BAD,
    (400, "FIELD_LENGTH_TOO_LONG"): _BAD,
    (400, "INVALID_URN_TYPE"): _BAD,
    (400, "INVALID_URN_ID"): _BAD,
    (400, "ILLEGAL_ARGUMENT"): _BAD,
    (400, "INVALID_CONTENT_OWNERSHIP"): ErrorRow(
        Rejected,
        "media_not_owned",
        "LinkedIn says that the media do not belong to the author of the post.",
        "Connect the LinkedIn account again, then retry the post: its media are uploaded again.",
    ),
    (400, "VERSION_MISSING"): _VERSION,
    (400, "EXPIRED_UPLOAD_URL"): ErrorRow(
        Unavailable, STALE_UPLOAD, "LinkedIn's upload address has expired."
    ),
    (400, "MEDIA_ASSET_WAITING_UPLOAD"): ErrorRow(
        Unavailable, "media_not_ready", "LinkedIn has not taken in the media yet.", wait=limits.NOT_READY
    ),
    (400, "MEDIA_ASSET_PROCESSING_FAILED"): ErrorRow(
        Rejected,
        "media_failed",
        "LinkedIn could not process the media.",
        "Send the file in another encoding.",
    ),
    (400, "UPDATING_ASSET_FAILED"): ErrorRow(
        Unavailable, "media_not_ready", "LinkedIn could not attach the media."
    ),
    (401, "REVOKED_ACCESS_TOKEN"): _REVOKED,
    **{(401, f"{kind}_ACCESS_TOKEN"): _EXPIRED for kind in ("EMPTY", "EXPIRED", "INVALID")},
    (
        401,
        "65600",
    ): _EXPIRED,  # serviceErrorCode of a body without code: xcarpentier/react-native-linkedin#131
    (401, "65601"): _REVOKED,
    (401, "65602"): _EXPIRED,
    (401, None): replace(_EXPIRED, ambiguous=True),
    # retried by other publishers too (postiz-app), since it was seen to pass; no proof after the post
    (403, FORBIDDEN): ErrorRow(
        Unavailable,
        RESOURCE_FORBIDDEN,
        "LinkedIn says that access to the resource is forbidden.",
        "Check the member's role for the organization, then retry the post.",
        ambiguous=True,
    ),
    (403, "ACCESS_DENIED"): _DENIED,
    (403, None): replace(_DENIED, ambiguous=True),
    (404, "RESOURCE_NOT_FOUND"): ErrorRow(Rejected, GONE, "LinkedIn does not find it."),
    (404, None): ErrorRow(Rejected, GONE, "LinkedIn does not find it.", ambiguous=True),
    # The page advises a retry; until October 2020 it was the status of a duplicate, so no proof after the post.
    (409, "CONFLICT"): ErrorRow(Unavailable, "conflict", "LinkedIn saw a conflict.", ambiguous=True),
    # Rest.li checks the body against the schema before the resource sees it (linkedin.github.io/rest.li, "Validation").
    (422, SCHEMA_ERROR): _BAD,
    (422, "UNPROCESSABLE_ENTITY"): _BAD,
    (426, "NONEXISTENT_VERSION"): _VERSION,
    (426, None): replace(_VERSION, ambiguous=True),
    (429, "TOO_MANY_REQUESTS"): _SPENT,
    (429, None): replace(_SPENT, ambiguous=True),
}

# …/shares/comments-api, 2026-04-28, read 2026-11-29: a post is missing for seconds after it was created, and a throttle
# passes within a minute (other clients' waits). An app without the product gets ACCESS_DENIED.
COMMENT_TABLE: ErrorTable = {
    **TABLE,
    (404, "RESOURCE_NOT_FOUND"): ErrorRow(Unavailable, GONE, "LinkedIn does not find the post yet."),
    (429, "TOO_MANY_REQUESTS"): ErrorRow(
        RateLimited, "rate_limited", "LinkedIn asked us to slow down.", wait=limits.COMMENT_PAUSE
    ),
}

# The token endpoint (RFC 6749 codes). A refusal of our app disconnects no account: the operator has to act.
_APP = ErrorRow(Rejected, "app_refused", "LinkedIn does not accept our app's id and secret.", _OPERATOR)
_DEAD = ErrorRow(
    CredentialsRevoked,
    "reconnect_required",
    "LinkedIn no longer renews the account's grant.",
    "Connect the LinkedIn account again.",
)
OAUTH: Mapping[str, ErrorRow] = {
    "invalid_grant": _DEAD,
    # also the response to a missing parameter, so it proves nothing about the grant
    "invalid_request": ErrorRow(
        Rejected,
        "invalid_request",
        "LinkedIn refused the token request as invalid.",
        "Connect the LinkedIn account again, and tell the operator of this server if that does not help.",
    ),
    "invalid_client": _APP,
    "invalid_client_id": _APP,
    "unauthorized_client": _APP,
}


def _translate_error(table: ErrorTable, response: Response, phase: Phase) -> AdapterError:
    """Return the error of a response that is not a success, by the table of one kind of call."""
    error = _parse_error_body(response)
    codes = error.codes if error else ()
    rows = (table.get((response.status, code)) for code in (*codes, None))
    row = next((row for row in rows if row is not None), None)
    if error and "duplicate" in error.message.casefold():
        row = None  # of a post that may be ours
    return _translate_refusal(
        response, phase, codes[0] if codes else None, row, error.message if error else None
    )


translate_error = partial(_translate_error, TABLE)
translate_comment_error = partial(_translate_error, COMMENT_TABLE)


def translate_upload_error(response: Response) -> AdapterError:
    """Return the error of a refusal by an upload address.

    Such addresses send plain statuses. A 4xx leads to a new address, whose request LinkedIn answers in its envelope: an
    expired token shows there. A 429, a 401 in the envelope and a web page do not make the address stale.
    """
    is_refusal = HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR
    is_named = response.status == HTTPStatus.UNAUTHORIZED and bool(parse_codes(response))
    is_busy = response.status == HTTPStatus.TOO_MANY_REQUESTS
    if not is_refusal or is_named or is_busy or is_web_page(response):
        return translate_error(response, Phase.PREPARE)
    stale = TABLE[400, "EXPIRED_UPLOAD_URL"]
    return error_table.build_error(stale, platform_code=f"http_{response.status}", status=response.status)


def translate_oauth_error(response: Response) -> AdapterError:
    """Return the error of a refusal by the token endpoint."""
    error = response.parse(OAuthErrorBody) or OAuthErrorBody()
    code = error.error or None
    row = None if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else OAUTH.get(code or "")
    return _translate_refusal(response, Phase.PREPARE, code, row, error.error_description)


def find_duplicate(response: Response) -> str | None:
    """Return the URN of the post that ours duplicates; empty when LinkedIn names none, None for other responses."""
    if response.status != HTTPStatus.UNPROCESSABLE_ENTITY or DUPLICATE not in parse_codes(response):
        return None
    urns = set(_POST_URN.findall(ErrorBody.model_validate_json(response.body).message))
    return urns.pop() if len(urns) == 1 else ""


def parse_codes(response: Response) -> tuple[str, ...]:
    """Return the codes in LinkedIn's error envelope; empty without one."""
    error = _parse_error_body(response)
    return error.codes if error else ()


def _parse_error_body(response: Response) -> ErrorBody | None:
    """Return the error in LinkedIn's envelope, or None without one."""
    error = response.parse(ErrorBody)
    return error if error and error.status == response.status else None


_translate_refusal = partial(translate_refusal, SERVICE, most=timedelta(days=1))
"""A Retry-After of at most a day wins over the row's wait."""
