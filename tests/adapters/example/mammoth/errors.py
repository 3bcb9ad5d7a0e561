"""Mammoth's statuses -> our classes. A row is a refusal given before acting; everything else is unclear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one status means."""

    error: type[AdapterError]
    message: str


TABLE: Mapping[int, Row] = {
    401: Row(error=CredentialsExpired, message="Mammoth no longer takes the token."),
    403: Row(error=PermissionMissing, message="Mammoth says the grant does not allow this."),
    422: Row(error=Rejected, message="Mammoth refused the status as invalid."),
    429: Row(error=RateLimited, message="Mammoth asked us to slow down."),
}


def of_answer(answer: Answer, *, visible: bool) -> AdapterError:
    """The error behind an answer that is no success."""
    row = TABLE.get(answer.status)
    if row is None:
        return unclear(visible=visible, status=answer.status)
    code = f"http_{answer.status}"
    if row.error is RateLimited:
        wait = answer.headers.get("Retry-After", "")
        later = timedelta(seconds=int(wait)) if wait.isdecimal() else timedelta(minutes=1)
        return RateLimited(row.message, retry_after=later, platform_code=code, http_status=answer.status)
    return row.error(row.message, platform_code=code, http_status=answer.status)


def unclear(*, visible: bool, status: int | None = None) -> AdapterError:
    """What silence and nonsense mean: harmless before the visible call, not so after it."""
    if visible:
        return OutcomeUnknown("Mammoth gave no clear answer to the publish.", http_status=status)
    return Unavailable("Mammoth gave no clear answer.", http_status=status)
