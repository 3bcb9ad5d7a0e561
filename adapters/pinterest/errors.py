"""Pinterest's responses -> our error classes: tables by status, code and, where these are ambiguous, by words.

Every row is a refusal given *before* acting: after the visible call, too, nothing went out. The rows without a code
rest on the API description, which lists 400, 401, 403, 404 and 429 of ``POST /pins`` as refusals. A status without a
row is unclear: OutcomeUnknown after the visible call, Unavailable elsewhere.

Sources: Pinterest's OpenAPI description of API v5, 5.23.0 (SPEC); responses a Trial app was seen to get on 2026-09-07
(SEEN); github.com/pinterest/api-quickstart (QUICKSTART). Read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from pydantic import ValidationError

from adapters import error_table
from adapters.error_table import ErrorRow, Phase, parse_retry_after
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import Response
from adapters.pinterest import limits
from adapters.pinterest.wire import ErrorBody

SERVICE = "Pinterest"
build_unclear_error = partial(error_table.build_unclear_error, SERVICE)

GONE = "not_found"
INTERRUPTED = "upload_interrupted"


_RECONNECT = "Connect the Pinterest account again and grant every permission it requests."
_BOARD = "Choose another board of this account, or connect the account that owns it."

# By status and Pinterest's own code; a row without a code holds for every other code of its status.
TABLE: Mapping[tuple[int, int | None], ErrorRow] = {
    (400, None): ErrorRow(  # SPEC: invalid parameters
        error=Rejected,
        code="invalid_request",
        message="Pinterest refused the pin as invalid.",
        next_action="Check board, title, link and media of the post.",
    ),
    (401, None): ErrorRow(  # SPEC; code 2 "Authentication failed." was reported, not seen
        error=CredentialsExpired,
        code="credentials_expired",
        message="Pinterest no longer accepts the token.",
    ),
    (401, 3): ErrorRow(  # SEEN: "…restricted feature: pin_edit"
        error=PermissionMissing,
        code="permission_missing",
        message="Pinterest says the account's grant or our app lacks a permission this post needs.",
        next_action=_RECONNECT,
    ),
    (403, None): ErrorRow(  # SPEC
        error=Rejected,
        code="not_permitted",
        message="Pinterest does not permit this account to do that.",
        next_action=_BOARD,
    ),
    (403, 29): ErrorRow(  # SEEN: "You are not permitted to access that resource."
        error=Rejected,
        code="not_permitted",
        message="Pinterest does not permit this account to use that board.",
        next_action=_BOARD,
    ),
    (404, None): ErrorRow(error=Rejected, code=GONE, message="Pinterest does not find it."),  # SPEC
    (404, 40): ErrorRow(  # SEEN: "Board not found."
        error=Rejected,
        code="board_not_found",
        message="Pinterest does not find the board.",
        next_action=_BOARD,
    ),
    (429, None): ErrorRow(  # SPEC
        error=RateLimited,
        code="rate_limited",
        message="Pinterest asked us to slow down.",
        wait=limits.BUSY,
    ),
}

# By status and words of ``message`` or ``message_detail``, where the codes do not distinguish the cases.
WORDS: Mapping[tuple[int, str], ErrorRow] = {
    (
        400,
        "unable to reach the url",
    ): ErrorRow(  # SEEN: its fetcher did not get the image; a few more tries help
        error=Unavailable,
        code="media_not_fetched",
        message="Pinterest could not fetch the image from its address.",
        next_action="Check that the image's address is reachable from the internet.",
    ),
    (429, "spam"): ErrorRow(  # QUICKSTART: the account is blocked; trying again makes it worse
        error=Rejected,
        code="blocked_as_spam",
        message="Pinterest has blocked this account's pins as spam.",
        next_action="Open Pinterest, settle the block with its help centre, then post again.",
    ),
}

# The token endpoint. A refusal of our app's id or secret disconnects no account: the operator has to act.
OAUTH: Mapping[int, ErrorRow] = {
    400: ErrorRow(
        error=CredentialsRevoked,
        code="reconnect_required",
        message="Pinterest no longer renews the account's grant.",
        next_action="Connect the Pinterest account again.",
    ),
    401: ErrorRow(
        error=Rejected,
        code="app_refused",
        message="Pinterest does not accept our app's id and secret.",
        next_action="Ask the operator of this server: the Pinterest app's configuration has to change.",
    ),
    429: TABLE[429, None],
}


def translate_error(response: Response, phase: Phase) -> AdapterError:
    """Return the error of a response that is not a success."""
    error = _parse_error_body(response)
    code = None if error.code is None else str(error.code)
    row = _find_row_by_words(response.status, error) or TABLE.get((response.status, error.code), None)
    row = row or TABLE.get((response.status, None))
    if row is None:
        return build_unclear_error(
            phase, platform_code=code or f"http_{response.status}", status=response.status
        )
    return build_row_error(row, response, code)


def translate_oauth_error(response: Response) -> AdapterError:
    """Return the error of a refusal by the token endpoint."""
    row = OAUTH.get(response.status)
    if row is None:
        return build_unclear_error(
            Phase.PREPARE, platform_code=f"http_{response.status}", status=response.status
        )
    code = _parse_error_body(response).code
    return build_row_error(row, response, None if code is None else str(code))


def build_row_error(row: ErrorRow, response: Response, platform_code: str | None) -> AdapterError:
    """Return the error of a row; Retry-After, and on a 429 x-ratelimit-reset, win over the row's wait."""
    names = ("Retry-After", "x-ratelimit-reset")
    retry_after = parse_retry_after(
        response,
        *names[: 2 if response.status == HTTPStatus.TOO_MANY_REQUESTS else 1],
        most=limits.RESET_MOST,
    )
    return error_table.build_error(
        row,
        platform_code=platform_code or f"http_{response.status}",
        status=response.status,
        retry_after=retry_after,
    )


def _parse_error_body(response: Response) -> ErrorBody:
    try:
        return ErrorBody.model_validate_json(response.body)
    except ValidationError:  # a gateway's page instead of Pinterest's JSON: only the status counts
        return ErrorBody()


def _find_row_by_words(status: int, error: ErrorBody) -> ErrorRow | None:
    text = f"{error.message} {error.message_detail}".casefold()
    return next((row for (of, words), row in WORDS.items() if of == status and words in text), None)
