"""The error of a delivery as all readers show it: one that may be live never reads as unsent, nor as worth a retry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.policy_errors import CANNOT_BE_ASKED, RESTORED_CODE

LAST_LOOK = "last_look"
"""The key of an armed delivery's error that has the error of its last look, until one is answered."""
SENT: Mapping[str, Any] = {
    "code": "outcome_unknown",
    "class": "OutcomeUnknown",
    "fault": "platform",
    "retryable": False,
    "message": "It was sent, and the platform has not said yet what became of it.",
}
"""The error of a sent delivery whose own is not known."""


def get_own_error(stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the error of the visible call of an armed delivery, without that of a look."""
    own = stored if stored and stored.get("class") == SENT["class"] else SENT
    return {name: value for name, value in own.items() if name != LAST_LOOK}


def present_error(
    stored: Mapping[str, Any] | None, state: State, armed_at: datetime | None, next_at: datetime | None
) -> Mapping[str, Any] | None:
    """Return the error of a delivery for its readers; *stored* itself where nothing may be live.

    An armed one may be live, whatever its looks met: the error says so, and when it is looked at next. Before the
    first answer there is none.
    """
    if armed_at is None or state in SETTLED:
        return stored
    if state is State.PUBLISHING or (state is State.PROCESSING and stored is None):
        return None
    own = get_own_error(stored)
    says_so = own["code"] == RESTORED_CODE
    sentences = [
        *([] if says_so else ["It may be live."]),
        own["message"],
        *describe_last_look(stored),
        *_describe_next(stored, state, next_at),
    ]
    return {**own, "message": " ".join(sentences), LAST_LOOK: (stored or {}).get(LAST_LOOK)}


def is_beyond_looks(stored: Mapping[str, Any] | None) -> bool:
    """Return True if the last look has shown that no look can tell what became of it."""
    look = (stored or {}).get(LAST_LOOK)
    return look is not None and look["code"] == CANNOT_BE_ASKED


def describe_last_look(stored: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence about the last look, if it failed."""
    look = (stored or {}).get(LAST_LOOK)
    if look is None:
        return []
    return [look["message"] if is_beyond_looks(stored) else f"The last look failed: {look['message']}"]


def _describe_next(stored: Mapping[str, Any] | None, state: State, next_at: datetime | None) -> list[str]:
    if state is State.BLOCKED:
        return []
    what = "An operator is asked to decide" if is_beyond_looks(stored) else "It is looked at again"
    return [f"{what} {'now' if next_at is None else f'at {next_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC'}."]
