"""Mammoth's HTTP statuses and our error classes. A row is a refusal before acting; any other status is unclear."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from adapters.error_table import ErrorRow, Phase, build_error, parse_retry_after
from adapters.error_table import build_unclear_error as unclear_of
from adapters.errors import AdapterError, CredentialsExpired, PermissionMissing, RateLimited, Rejected
from adapters.http import Response

SERVICE = "Mammoth"
unclear = partial(unclear_of, SERVICE)

TABLE: Mapping[int, ErrorRow] = {
    401: ErrorRow(
        error=CredentialsExpired, code="credentials_expired", message="Mammoth no longer takes the token."
    ),
    403: ErrorRow(
        error=PermissionMissing,
        code="permission_missing",
        message="Mammoth says the grant does not allow this.",
    ),
    422: ErrorRow(error=Rejected, code="rejected", message="Mammoth refused the status as invalid."),
    429: ErrorRow(
        error=RateLimited,
        code="rate_limited",
        message="Mammoth asked us to slow down.",
        wait=timedelta(minutes=1),
    ),
}


def of_answer(answer: Response, step: Phase) -> AdapterError:
    """Return the error for a response that is not a success."""
    row, code = TABLE.get(answer.status), f"http_{answer.status}"
    if row is None:
        return unclear(step, platform_code=code, status=answer.status)
    return build_error(row, platform_code=code, status=answer.status, retry_after=parse_retry_after(answer))
