"""Pinterest's responses -> our error classes: tables by status, code and, where these are ambiguous, by words.

A row with a code is a refusal given *before* acting: after the visible call, too, nothing went out. A row without a
code holds for every other code of its status in Pinterest's envelope, ``{"code":29,"message":"…"}``, and is ambiguous,
except for 409: after the visible call only a listed code counts (``error_table.translate_refusal``).

Sources: Pinterest's OpenAPI description of API v5, 5.23.0 (SPEC); responses a Trial app was seen to get on 2026-09-07
(SEEN); github.com/pinterest/api-quickstart (QUICKSTART). Read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from adapters.error_table import (
    ErrorRow,
    Phase,
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
from adapters.pinterest import limits
from adapters.pinterest.wire import ErrorBody
from adapters.platform_message import compose_message

SERVICE = "Pinterest"

GONE = "not_found"
INTERRUPTED = "upload_interrupted"


_RECONNECT = "Connect the Pinterest account again and grant every permission it requests."
_BOARD = "Choose another board of this account, or connect the account that owns it."

_INVALID = ErrorRow(
    Rejected,
    "invalid_request",
    "Pinterest refused the pin as invalid.",
    "Check board, title, link and media of the post.",
)
_EXPIRED = ErrorRow(CredentialsExpired, "credentials_expired", "Pinterest no longer accepts the token.")
_BUSY = ErrorRow(RateLimited, "rate_limited", "Pinterest asked us to slow down.", wait=limits.BUSY)

# By status and Pinterest's own code; a row without a code holds for every other code of its status.
TABLE: Mapping[tuple[int, int | None], ErrorRow] = {
    (400, None): replace(_INVALID, ambiguous=True),  # SPEC: invalid parameters
    (400, 1): _INVALID,  # reported, not seen: "Invalid request: …"
    (401, None): replace(_EXPIRED, ambiguous=True),  # SPEC
    (401, 2): _EXPIRED,  # reported, not seen: "Authentication failed."
    # SEEN with "…restricted feature: pin_edit"
    (401, 3): ErrorRow(
        PermissionMissing,
        "permission_missing",
        "Pinterest says the account's grant or our app lacks a permission this post needs.",
        _RECONNECT,
    ),
    # SPEC
    (403, None): ErrorRow(
        Rejected,
        "not_permitted",
        "Pinterest does not permit this account to do that.",
        _BOARD,
        ambiguous=True,
    ),
    # SEEN with "You are not permitted to access that resource."
    (403, 29): ErrorRow(
        Rejected, "not_permitted", "Pinterest does not permit this account to use that board.", _BOARD
    ),
    # SPEC
    (404, None): ErrorRow(Rejected, GONE, "Pinterest does not find it.", ambiguous=True),
    # SEEN with "Board not found."
    (404, 40): ErrorRow(Rejected, "board_not_found", "Pinterest does not find the board.", _BOARD),
    # Whatever its code: SPEC lists no 409 for pins, and Pinterest compares no pins, so it is no duplicate of ours.
    (409, None): ErrorRow(
        Rejected,
        "conflict",
        "Pinterest refused the pin because it conflicts with something on the account.",
        "Look at the board and change the post, then retry it.",
    ),
    (429, None): replace(_BUSY, ambiguous=True),  # SPEC
    (429, 8): _BUSY,  # reported, not seen
}

# By status and words of ``message`` or ``message_detail``, where the codes do not distinguish the cases.
WORDS: Mapping[tuple[int, str], ErrorRow] = {
    # SEEN: its fetcher did not get the image; a few more tries help
    (400, "unable to reach the url"): ErrorRow(
        Unavailable,
        "media_not_fetched",
        "Pinterest could not fetch the image from its address.",
        "Check that the image's address is reachable from the internet.",
    ),
    # gitroomhq/postiz-app#1084: code 29, "Apps with Trial access may not create Pins in production"
    (403, "trial access"): ErrorRow(
        AppRefused,
        "app_on_trial",
        "Pinterest gives our app trial access only: it may not create pins.",
        "Apply for Standard access of the app at developers.pinterest.com, or set "
        "SLIPWAY_PINTEREST__API to Pinterest's own sandbox, https://api-sandbox.pinterest.com/v5.",
    ),
    # QUICKSTART: the account is blocked; trying again makes it worse
    (429, "spam"): ErrorRow(
        Rejected,
        "blocked_as_spam",
        "Pinterest has blocked this account's pins as spam.",
        "Open Pinterest, settle the block with its help centre, then post again.",
    ),
}

# The token endpoint, by status alone, in Pinterest's envelope. A refusal of our app's id or secret disconnects no
# account: the operator has to act.
OAUTH: Mapping[int, ErrorRow] = {
    400: ErrorRow(
        CredentialsRevoked,
        "reconnect_required",
        "Pinterest no longer renews the account's grant.",
        "Connect the Pinterest account again.",
    ),
    401: ErrorRow(
        Rejected,
        "app_refused",
        "Pinterest does not accept our app's id and secret.",
        "Ask the operator of this server: the Pinterest app's configuration has to change.",
    ),
    429: _BUSY,
}


def translate_error(response: Response, phase: Phase) -> AdapterError:
    """Return the error of a response that is not a success."""
    error, row = response.parse(ErrorBody), None
    if error is not None:
        row = _find_row_by_words(response.status, error) or TABLE.get((response.status, error.code))
        row = row or TABLE.get((response.status, None))
    return _translate_refusal(response, phase, error, row)


def translate_oauth_error(response: Response) -> AdapterError:
    """Return the error of a refusal by the token endpoint."""
    return _translate_refusal(response, Phase.PREPARE, response.parse(ErrorBody), OAUTH.get(response.status))


def _translate_refusal(
    response: Response, phase: Phase, error: ErrorBody | None, row: ErrorRow | None
) -> AdapterError:
    """Return the error of a refusal; Retry-After, and on a 429 x-ratelimit-reset, win over the row's wait."""
    is_busy = response.status == HTTPStatus.TOO_MANY_REQUESTS
    return translate_refusal(
        SERVICE,
        response,
        phase,
        None if error is None else str(error.code),
        row,
        None if error is None else compose_message(error.message, error.message_detail),
        headers=("Retry-After", "x-ratelimit-reset") if is_busy else (),
        most=limits.RESET_MOST,
    )


def _find_row_by_words(status: int, error: ErrorBody) -> ErrorRow | None:
    text = f"{error.message} {error.message_detail}".casefold()
    return next((row for (of, words), row in WORDS.items() if of == status and words in text), None)
