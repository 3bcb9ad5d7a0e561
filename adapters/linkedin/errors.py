"""LinkedIn's codes -> our classes, one table by HTTP status and code.

A row is a refusal given *before* acting unless it is ``ambiguous``: then it tells nothing after the visible call. Every
answer that no row has is unclear: OutcomeUnknown after the visible call, Unavailable elsewhere. 422 DUPLICATE_POST has
no row: ``adapter.py`` reads it (it names the post that is live).

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

from pydantic import ValidationError

from adapters.error_table import Row, Step, asked_to_wait, until_utc_midnight
from adapters.error_table import built as built_of
from adapters.error_table import unclear as unclear_of
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import Answer
from adapters.linkedin import limits
from adapters.linkedin.wire import Fault, OAuthFault

SERVICE = "LinkedIn"
unclear = partial(unclear_of, SERVICE)

GONE = "not_found"
DENIED = "permission_missing"
STALE_UPLOAD = "upload_expired"
DUPLICATE = "DUPLICATE_POST"
_POST_URN = re.compile(r"urn:li:(?:share|ugcPost):\d+")


_OPERATOR = "Ask the operator of this server: the LinkedIn settings have to change."

_BAD = Row(
    error=Rejected,
    code="invalid_request",
    message="LinkedIn refused the request as invalid.",
    next_action="Check the caption and the media of the post.",
)
_EXPIRED = Row(
    error=CredentialsExpired, code="credentials_expired", message="LinkedIn no longer takes the token."
)
_REVOKED = Row(
    error=CredentialsRevoked,
    code="reconnect_required",
    message="The account's grant was revoked at LinkedIn.",
    next_action="Connect the LinkedIn account again.",
)
_DENIED = Row(
    error=PermissionMissing,
    code=DENIED,
    message="LinkedIn says the account's grant lacks the permission or the role this post needs.",
    next_action="Check the person's role for the organization, then connect the LinkedIn account again.",
)
_VERSION = Row(
    error=Unavailable,
    code="api_version_retired",
    message="LinkedIn no longer serves the API version this server is set to.",
    next_action=_OPERATOR,
    wait=limits.VERSION_RECHECK,
)

# By status and code; a row without a code takes every other code of its status.
TABLE: Mapping[tuple[int, str | None], Row] = {
    (400, "MISSING_FIELD"): _BAD,
    (400, "INVALID_VALUE_FOR_FIELD"): _BAD,
    (400, "FIELD_LENGTH_TOO_LONG"): _BAD,
    (400, "INVALID_URN_TYPE"): _BAD,
    (400, "INVALID_URN_ID"): _BAD,
    (400, "VERSION_MISSING"): _VERSION,
    (400, "EXPIRED_UPLOAD_URL"): Row(
        error=Unavailable, code=STALE_UPLOAD, message="LinkedIn's upload address has expired."
    ),
    (400, "MEDIA_ASSET_WAITING_UPLOAD"): Row(
        error=Unavailable,
        code="media_not_ready",
        message="LinkedIn has not taken in the media yet.",
        wait=limits.NOT_READY,
    ),
    (400, "MEDIA_ASSET_PROCESSING_FAILED"): Row(
        error=Rejected,
        code="media_failed",
        message="LinkedIn could not process the media.",
        next_action="Send the file in another encoding.",
    ),
    (400, "UPDATING_ASSET_FAILED"): Row(
        error=Unavailable, code="media_not_ready", message="LinkedIn could not attach the media."
    ),
    (401, "REVOKED_ACCESS_TOKEN"): _REVOKED,
    (401, None): _EXPIRED,  # EMPTY_, EXPIRED_, INVALID_ACCESS_TOKEN
    (403, "ACCESS_DENIED"): _DENIED,
    (403, None): replace(_DENIED, ambiguous=True),
    (404, "RESOURCE_NOT_FOUND"): Row(error=Rejected, code=GONE, message="LinkedIn does not find it."),
    (404, None): Row(error=Rejected, code=GONE, message="LinkedIn does not find it.", ambiguous=True),
    # "Once more", says the page; until October 2020 it was the status of a duplicate, so no proof after the post.
    (409, "CONFLICT"): Row(
        error=Unavailable, code="conflict", message="LinkedIn saw a conflict.", ambiguous=True
    ),
    (426, None): _VERSION,  # NONEXISTENT_VERSION
    (429, None): Row(
        error=RateLimited,
        code="rate_limited",
        message="LinkedIn's daily allowance is spent; it begins anew at 00:00 UTC.",
        wait=until_utc_midnight,
    ),
}

# The token endpoint (RFC 6749 codes). A wrong app is the operator's affair and disconnects nobody.
_APP = Row(
    error=Rejected,
    code="app_refused",
    message="LinkedIn does not accept our app's id and secret.",
    next_action=_OPERATOR,
)
_DEAD = Row(
    error=CredentialsRevoked,
    code="reconnect_required",
    message="LinkedIn no longer renews the account's grant.",
    next_action="Connect the LinkedIn account again.",
)
OAUTH: Mapping[str, Row] = {
    "invalid_grant": _DEAD,
    "invalid_request": Row(  # also the answer to a parameter that is missing: no definite word on the grant
        error=Rejected,
        code="invalid_request",
        message="LinkedIn refused the token request as invalid.",
        next_action="Connect the LinkedIn account again, and tell the operator of this server if that does not help.",
    ),
    "invalid_client": _APP,
    "invalid_client_id": _APP,
    "unauthorized_client": _APP,
}


def of_answer(answer: Answer, step: Step) -> AdapterError:
    """The error behind an answer that is not a success."""
    fault = fault_of(answer)
    rows = (TABLE.get((answer.status, code)) for code in (*fault.codes, None))
    row = next((row for row in rows if row is not None), None)
    code = fault.code or f"http_{answer.status}"
    if row is None or (row.ambiguous and step is Step.FINALIZE):
        return unclear(step, platform_code=code, status=answer.status)
    return built(row, answer, code)


def of_upload(answer: Answer) -> AdapterError:
    """The error behind an upload address's refusal: these answer plain statuses. A new address is the way on."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS):
        return of_answer(answer, Step.PREPARE)
    code = f"http_{answer.status}"
    if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return built(TABLE[400, "EXPIRED_UPLOAD_URL"], answer, code)
    return unclear(Step.PREPARE, platform_code=code, status=answer.status)


def of_oauth(answer: Answer) -> AdapterError:
    """The error behind a refusal of the token endpoint."""
    try:
        code = OAuthFault.model_validate_json(answer.body).error
    except ValidationError:
        code = ""
    row = OAUTH.get(code)
    if row is None and answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        row = TABLE[429, None]
    if row is None or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unclear(Step.PREPARE, platform_code=code or f"http_{answer.status}", status=answer.status)
    return built(row, answer, code or f"http_{answer.status}")


def duplicate_of(answer: Answer) -> str | None:
    """The post of which LinkedIn calls ours a duplicate; empty when it does not name it, None for anything else."""
    fault = fault_of(answer)
    if answer.status != HTTPStatus.UNPROCESSABLE_ENTITY or DUPLICATE not in fault.codes:
        return None
    named = set(_POST_URN.findall(fault.message))
    return named.pop() if len(named) == 1 else ""


def fault_of(answer: Answer) -> Fault:
    """What LinkedIn says; empty when it is not its JSON: the status has to do."""
    try:
        return Fault.model_validate_json(answer.body)
    except ValidationError:
        return Fault()


def built(row: Row, answer: Answer, platform_code: str) -> AdapterError:
    """The error of a table's row. LinkedIn's own Retry-After, a day at the most, wins over the row's wait."""
    asked = asked_to_wait(answer, most=timedelta(days=1))
    return built_of(row, platform_code=platform_code, status=answer.status, asked=asked)
