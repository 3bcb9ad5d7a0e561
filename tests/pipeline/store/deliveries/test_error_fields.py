"""The JSON fields of a classified error: code, class, and the fault that decides whose turn it is."""

from __future__ import annotations

import pytest

from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
    Unsupported,
)
from pipeline.store.deliveries.error_fields import error_to_dict

FAULTS: dict[type[AdapterError], tuple[str, bool]] = {
    Unavailable: ("platform", True),
    RateLimited: ("platform", True),
    CredentialsExpired: ("platform", True),
    AppRefused: ("us", True),
    OutcomeUnknown: ("platform", False),
    Rejected: ("customer", False),
    Unsupported: ("customer", False),
    CredentialsRevoked: ("customer", False),
    PermissionMissing: ("customer", False),
    AdapterError: ("us", False),
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_an_error_of_a_platform_is_kept_with_whose_fault_it_is(kind: type[AdapterError]) -> None:
    fault, retryable = FAULTS[kind]
    plain = {
        "code": kind.code,
        "class": kind.__name__,
        "fault": fault,
        "retryable": retryable,
        "message": "No.",
    }
    none = {"next_action": None, "platform_code": None, "platform_message": None}
    assert error_to_dict(kind("No.")) == {**plain, **none}
    told = kind("No.", code="ours", platform_code="E42", next_action="Wait.", platform_message="Nope.")
    more = {"code": "ours", "next_action": "Wait.", "platform_code": "E42", "platform_message": "Nope."}
    assert error_to_dict(told) == {**plain, **more}


def test_a_bug_is_our_fault_and_no_error_is_none() -> None:
    assert error_to_dict(ZeroDivisionError("by zero")) == {
        "code": "internal_error",
        "class": "ZeroDivisionError",
        "fault": "us",
        "retryable": False,
        "message": "by zero",
        "next_action": None,
        "platform_code": None,
        "platform_message": None,
    }
    assert error_to_dict(None) is None
