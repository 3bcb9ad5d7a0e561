"""Mammoth's statuses -> our classes. A row is a refusal given before acting; everything else is unclear."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from adapters.error_table import Row, Step, asked_to_wait, built
from adapters.error_table import unclear as unclear_of
from adapters.errors import AdapterError, CredentialsExpired, PermissionMissing, RateLimited, Rejected
from adapters.http import Answer

SERVICE = "Mammoth"
unclear = partial(unclear_of, SERVICE)

TABLE: Mapping[int, Row] = {
    401: Row(
        error=CredentialsExpired, code="credentials_expired", message="Mammoth no longer takes the token."
    ),
    403: Row(
        error=PermissionMissing,
        code="permission_missing",
        message="Mammoth says the grant does not allow this.",
    ),
    422: Row(error=Rejected, code="rejected", message="Mammoth refused the status as invalid."),
    429: Row(
        error=RateLimited,
        code="rate_limited",
        message="Mammoth asked us to slow down.",
        wait=timedelta(minutes=1),
    ),
}


def of_answer(answer: Answer, step: Step) -> AdapterError:
    """The error behind an answer that is no success."""
    row, code = TABLE.get(answer.status), f"http_{answer.status}"
    if row is None:
        return unclear(step, platform_code=code, status=answer.status)
    return built(row, platform_code=code, status=answer.status, asked=asked_to_wait(answer))
