"""Pinterest's answers -> our classes: tables by status, code and, where nothing else tells them apart, by words.

Every row is a refusal given *before* acting: also after the visible call nothing went out. The rows without a code rest
on the API description, which gives 400, 401, 403, 404 and 429 of ``POST /pins`` as refusals; a status that no row has
is unclear: OutcomeUnknown after the visible call, Unavailable elsewhere.

Sources: Pinterest's OpenAPI description of API v5, 5.23.0 (SPEC); answers a Trial app was seen to get on 2026-09-07
(SEEN); github.com/pinterest/api-quickstart (QUICKSTART). Read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from pydantic import ValidationError

from adapters.error_table import Row, Step, asked_to_wait
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
from adapters.pinterest import limits
from adapters.pinterest.wire import Fault

SERVICE = "Pinterest"
unclear = partial(unclear_of, SERVICE)

GONE = "not_found"
INTERRUPTED = "upload_interrupted"


_RECONNECT = "Connect the Pinterest account again and grant every permission asked for."
_BOARD = "Choose another board of this account, or connect the account that owns it."

# By status and Pinterest's own code; a row without a code takes every other code of its status.
TABLE: Mapping[tuple[int, int | None], Row] = {
    (400, None): Row(  # SPEC: invalid parameters
        error=Rejected,
        code="invalid_request",
        message="Pinterest refused the pin as invalid.",
        next_action="Check board, title, link and media of the post.",
    ),
    (401, None): Row(  # SPEC; code 2 "Authentication failed." was reported, not seen
        error=CredentialsExpired,
        code="credentials_expired",
        message="Pinterest no longer takes the token.",
    ),
    (401, 3): Row(  # SEEN: "…restricted feature: pin_edit"
        error=PermissionMissing,
        code="permission_missing",
        message="Pinterest says the account's grant or our app lacks a permission this post needs.",
        next_action=_RECONNECT,
    ),
    (403, None): Row(  # SPEC
        error=Rejected,
        code="not_permitted",
        message="Pinterest does not permit this account to do that.",
        next_action=_BOARD,
    ),
    (403, 29): Row(  # SEEN: "You are not permitted to access that resource."
        error=Rejected,
        code="not_permitted",
        message="Pinterest does not permit this account to use that board.",
        next_action=_BOARD,
    ),
    (404, None): Row(error=Rejected, code=GONE, message="Pinterest does not find it."),  # SPEC
    (404, 40): Row(  # SEEN: "Board not found."
        error=Rejected,
        code="board_not_found",
        message="Pinterest does not find the board.",
        next_action=_BOARD,
    ),
    (429, None): Row(  # SPEC
        error=RateLimited, code="rate_limited", message="Pinterest asked us to slow down.", wait=limits.BUSY
    ),
}

# By status and words of ``message`` or ``message_detail``, where the codes do not tell the cases apart.
WORDS: Mapping[tuple[int, str], Row] = {
    (400, "unable to reach the url"): Row(  # SEEN: its fetcher did not get the image; a few more tries help
        error=Unavailable,
        code="media_not_fetched",
        message="Pinterest could not fetch the image from its address.",
        next_action="Check that the image's address is reachable from the internet.",
    ),
    (429, "spam"): Row(  # QUICKSTART: the account is blocked; trying again makes it worse
        error=Rejected,
        code="blocked_as_spam",
        message="Pinterest has blocked this account's pins as spam.",
        next_action="Open Pinterest, settle the block with its help centre, then post again.",
    ),
}

# The token endpoint. A wrong app is the operator's affair and disconnects nobody.
OAUTH: Mapping[int, Row] = {
    400: Row(
        error=CredentialsRevoked,
        code="reconnect_required",
        message="Pinterest no longer renews the account's grant.",
        next_action="Connect the Pinterest account again.",
    ),
    401: Row(
        error=Rejected,
        code="app_refused",
        message="Pinterest does not accept our app's id and secret.",
        next_action="Ask the operator of this server: the Pinterest app's configuration has to change.",
    ),
    429: TABLE[429, None],
}


def of_answer(answer: Answer, step: Step) -> AdapterError:
    """The error behind an answer that is not a success."""
    fault = _fault(answer)
    code = None if fault.code is None else str(fault.code)
    row = _by_words(answer.status, fault) or TABLE.get((answer.status, fault.code), None)
    row = row or TABLE.get((answer.status, None))
    if row is None:
        return unclear(step, platform_code=code or f"http_{answer.status}", status=answer.status)
    return built(row, answer, code)


def of_oauth(answer: Answer) -> AdapterError:
    """The error behind a refusal of the token endpoint."""
    row = OAUTH.get(answer.status)
    if row is None:
        return unclear(Step.PREPARE, platform_code=f"http_{answer.status}", status=answer.status)
    code = _fault(answer).code
    return built(row, answer, None if code is None else str(code))


def built(row: Row, answer: Answer, platform_code: str | None) -> AdapterError:
    """The error of a table's row. Pinterest's own word (on a 429 x-ratelimit-reset too) wins over the row's wait."""
    names = ("Retry-After", "x-ratelimit-reset")
    asked = asked_to_wait(
        answer, *names[: 2 if answer.status == HTTPStatus.TOO_MANY_REQUESTS else 1], most=limits.RESET_MOST
    )
    return built_of(
        row, platform_code=platform_code or f"http_{answer.status}", status=answer.status, asked=asked
    )


def _fault(answer: Answer) -> Fault:
    try:
        return Fault.model_validate_json(answer.body)
    except ValidationError:  # a gateway's page instead of Pinterest's JSON: the status has to do
        return Fault()


def _by_words(status: int, fault: Fault) -> Row | None:
    said = f"{fault.message} {fault.message_detail}".casefold()
    return next((row for (of, words), row in WORDS.items() if of == status and words in said), None)
