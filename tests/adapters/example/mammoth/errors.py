"""Mammoth's errors as our error classes: a JSON object ``error`` with a sentence, and the status as its code.

A row is a refusal before acting; a response without the envelope, or with another status, proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from adapters.error_table import ErrorRow, Phase, translate_refusal
from adapters.errors import AdapterError, CredentialsExpired, PermissionMissing, RateLimited, Rejected
from adapters.http import Response
from tests.adapters.example.mammoth.wire import ErrorBody

SERVICE = "Mammoth"

TABLE: Mapping[int, ErrorRow] = {
    401: ErrorRow(CredentialsExpired, "credentials_expired", "Mammoth no longer takes the token."),
    403: ErrorRow(PermissionMissing, "permission_missing", "Mammoth says the grant does not allow this."),
    422: ErrorRow(Rejected, "rejected", "Mammoth refused the status as invalid."),
    429: ErrorRow(RateLimited, "rate_limited", "Mammoth asked us to slow down.", wait=timedelta(minutes=1)),
}


def translate_error(response: Response, phase: Phase) -> AdapterError:
    """Return the error of a response that is not a success."""
    code = f"http_{response.status}" if response.parse(ErrorBody) else None
    return translate_refusal(SERVICE, response, phase, code, TABLE.get(response.status))
