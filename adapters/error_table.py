"""Rows of the tables in which a platform keeps its codes, and how a row, or the want of one, becomes an error.

The tables themselves, and how a platform's answer leads to a row, are the platforms' own (``<platform>/errors.py``).
Facebook and Instagram have Meta's (``graph_api.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from adapters.errors import AdapterError, OutcomeUnknown, Retryable, Unavailable
from adapters.http import Response

LONGEST_WAIT = timedelta(days=11)
"""A Retry-After above that is no number of seconds."""


class Phase(StrEnum):
    """Where in a publish we are: that decides what silence and unlisted codes mean."""

    PREPARE = "prepare"
    FINALIZE = "finalize"
    LOOK = "look"


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorRow:
    """What one code means: a refusal given *before* acting, unless it is ``ambiguous``."""

    error: type[AdapterError]
    code: str
    message: str
    next_action: str | None = None
    wait: timedelta | Callable[[datetime], timedelta] | None = None
    """None: the core's backoff decides. A function: until when, seen from now (aware UTC)."""
    ambiguous: bool = False
    """It tells nothing after the visible call."""


def build_error(
    row: ErrorRow,
    *,
    platform_code: str | None = None,
    status: int | None = None,
    asked: timedelta | None = None,
) -> AdapterError:
    """The error of a row. ``asked``: how long the platform itself told us to wait; that wins over the row's wait."""
    if not issubclass(row.error, Retryable):
        return row.error(
            row.message,
            code=row.code,
            platform_code=platform_code,
            http_status=status,
            next_action=row.next_action,
        )
    wait = row.wait(datetime.now(UTC)) if callable(row.wait) else row.wait
    return row.error(
        row.message,
        retry_after=asked or wait,
        code=row.code,
        platform_code=platform_code,
        http_status=status,
        next_action=row.next_action,
    )


def build_unclear_error(
    service: str, step: Phase, *, platform_code: str | None = None, status: int | None = None
) -> AdapterError:
    """What an answer that tells nothing means: harmless in prepare and look, not so after the visible call."""
    if step is Phase.FINALIZE:
        message = f"{service} gave no clear answer to the publish; whether it went out is being looked at."
        return OutcomeUnknown(message, platform_code=platform_code, http_status=status)
    return Unavailable(f"{service} gave no clear answer.", platform_code=platform_code, http_status=status)


def parse_retry_after(answer: Response, *names: str, most: timedelta = LONGEST_WAIT) -> timedelta | None:
    """What a header says (Retry-After, or the first of ``names`` that says anything), where it is plain seconds."""
    for name in names or ("Retry-After",):
        value = answer.headers.get(name, "").strip()
        plain = value.isascii() and value.isdecimal() and len(value) < 10  # noqa: PLR2004  more is nonsense
        if plain and 0 < int(value) <= most.total_seconds():
            return timedelta(seconds=int(value))
    return None


def time_until_utc_midnight(now: datetime) -> timedelta:
    """How long until 00:00 UTC, when some platforms' daily allowances begin anew; ``now`` is aware UTC."""
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now
