"""Rows of error tables, and the one rule for what a response that is not a success proves.

Only the platform's own word settles: a response counts as a refusal if it has the platform's error envelope *and* a
code that a table lists. A bare status, an HTML page or ``{}`` may come from a proxy, whatever the status:
``translate_refusal`` makes OutcomeUnknown of it after the visible call, and Unavailable elsewhere.

The tables themselves, and how a response leads to a row, are in ``<platform>/errors.py``. Facebook and Instagram use
Meta's own rows (``graph_api.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus

from adapters.errors import AdapterError, OutcomeUnknown, Permanent, Rejected, Retryable, Unavailable
from adapters.http import Response
from adapters.platform_message import clean_message

LONGEST_WAIT = timedelta(days=11)
"""A Retry-After above this is not taken for a number of seconds."""


class Phase(StrEnum):
    """The phase of a publish that a call belongs to; it decides what silence and unlisted codes mean."""

    PREPARE = "prepare"
    FINALIZE = "finalize"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """The meaning of one code: a refusal given *before* acting, unless it is ``ambiguous``."""

    error: type[AdapterError]
    code: str
    message: str
    next_action: str | None = None
    _: KW_ONLY
    wait: timedelta | Callable[[datetime], timedelta] | None = None
    """How long to wait; a function computes it from now (aware UTC). None: the pipeline's backoff decides."""
    ambiguous: bool = False
    """After the visible call, the code does not prove that nothing was published."""
    is_final: bool = False
    """Once absence is proven, the post is not sent again; so it is after each Permanent error, too."""


def translate_refusal(
    service: str,
    response: Response,
    phase: Phase,
    code: str | None,
    row: ErrorRow | None,
    message: str | None = None,
    *,
    headers: tuple[str, ...] = (),
    most: timedelta = LONGEST_WAIT,
    retry_after: timedelta | None = None,
) -> AdapterError:
    """Return the error of a response that is not a success, with the platform's own sentence, *message*.

    | envelope, code | after the visible call | elsewhere |
    |---|---|---|
    | none | OutcomeUnknown | Unavailable |
    | listed | the row's error; OutcomeUnknown if the row is ambiguous or the status 5xx | the row's error |
    | unlisted | OutcomeUnknown | AdapterError, for a 5xx Unavailable |

    *code* is the one in the platform's own error envelope, None without such an envelope; *row* is the table's, None
    for an unlisted code. The wait is *retry_after*, or in Retry-After, or in the first of *headers*. An OutcomeUnknown
    of a row that is final has the ``refusal`` that ends the delivery once absence is proven.
    """
    wait = retry_after or parse_retry_after(response, *headers, most=most)
    error = _build_refusal_error(service, phase, response.status, code, row, wait)
    if code is not None:
        error.platform_message = clean_message(message, response.secrets)
    if isinstance(error, OutcomeUnknown) and row is not None and _is_final(row, response.status):
        error.refusal = Rejected(
            row.message,
            code=row.code,
            platform_code=code,
            next_action=row.next_action,
            platform_message=error.platform_message,
        )
    return error


def _is_final(row: ErrorRow, status: int) -> bool:
    """Return True if the code, but for its ambiguity, is a refusal for good; a 5xx is one by an explicit row only."""
    is_server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return row.is_final or (issubclass(row.error, Permanent) and not is_server_error)


def _build_refusal_error(
    service: str, phase: Phase, status: int, code: str | None, row: ErrorRow | None, wait: timedelta | None
) -> AdapterError:
    is_server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    is_unproven = row is None or row.ambiguous or is_server_error
    if code is None or (phase is Phase.FINALIZE and is_unproven) or (row is None and is_server_error):
        named = code or f"http_{status}"
        return build_unclear_error(service, phase, platform_code=named, status=status, retry_after=wait)
    if row is None:
        return AdapterError(
            f"{service} refused for an unlisted reason.", platform_code=code, http_status=status
        )
    return build_error(row, platform_code=code, status=status, retry_after=wait)


def build_error(
    row: ErrorRow,
    *,
    platform_code: str | None = None,
    status: int | None = None,
    retry_after: timedelta | None = None,
) -> AdapterError:
    """Return the error of a row. The platform's own ``retry_after`` wins over the row's ``wait``."""
    error = row.error(
        row.message,
        code=row.code,
        platform_code=platform_code,
        http_status=status,
        next_action=row.next_action,
    )
    if isinstance(error, Retryable):
        error.retry_after = retry_after or (row.wait(datetime.now(UTC)) if callable(row.wait) else row.wait)
    return error


def build_unclear_error(
    service: str,
    phase: Phase,
    *,
    platform_code: str | None = None,
    status: int | None = None,
    retry_after: timedelta | None = None,
) -> AdapterError:
    """Return the error of a response that proves nothing: OutcomeUnknown for ``finalize``, else Unavailable."""
    if phase is Phase.FINALIZE:
        # what is done about it is said where it is read: some platforms cannot be asked
        message = f"{service} did not confirm the publish."
        return OutcomeUnknown(message, platform_code=platform_code, http_status=status)
    return Unavailable(
        f"{service} gave an unclear response.",
        retry_after=retry_after,
        platform_code=platform_code,
        http_status=status,
    )


def parse_retry_after(response: Response, *names: str, most: timedelta = LONGEST_WAIT) -> timedelta | None:
    """Return the wait in a header (Retry-After, or the first usable one of *names*), if it is plain seconds."""
    for name in names or ("Retry-After",):
        value = response.headers.get(name, "").strip()
        plain = value.isascii() and value.isdecimal() and len(value) < 10  # noqa: PLR2004  longer is not seconds
        if plain and 0 < int(value) <= most.total_seconds():
            return timedelta(seconds=int(value))
    return None


def time_until_utc_midnight(now: datetime) -> timedelta:
    """Return the time until 00:00 UTC, when some platforms reset daily limits; *now* is aware UTC."""
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now
