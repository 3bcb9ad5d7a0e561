"""Classified errors as JSON fields, as they are stored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.errors import OutcomeUnknown
from adapters.listing import ListedPost
from pipeline.domain.delivery_error import LAST_LOOK, get_own_error
from pipeline.domain.restore import is_likely

_FAULTS = {
    "AppRefused": "us",
    "StorageFault": "us",
    "Permanent": "customer",
    "NeedsPerson": "customer",
    "Retryable": "platform",
    "OutcomeUnknown": "platform",
}
"""Class of errors -> whose fault they are; the first that fits counts."""


def error_to_dict(error: Exception | None) -> dict[str, Any] | None:
    """Return a classified error as JSON fields: our code, class and fault, with the platform's code and sentence."""
    if error is None:
        return None
    kind = type(error)
    names = {k.__name__ for k in kind.__mro__}
    fault = next((fault for name, fault in _FAULTS.items() if name in names), "us")
    candidates = [_candidate_to_dict(post) for post in getattr(error, "candidates", ())]
    refusal = error_to_dict(getattr(error, "refusal", None))
    return {
        "code": getattr(error, "code", "internal_error"),
        "class": kind.__name__,
        "fault": fault,
        "retryable": "Retryable" in names,
        "message": str(error),
        "next_action": getattr(error, "next_action", None),
        "platform_code": getattr(error, "platform_code", None),
        "platform_message": getattr(error, "platform_message", None),
        **({"candidates": candidates} if candidates else {}),
        **({"refusal": refusal} if refusal else {}),
    }


_ANSWER = ("platform_code", "platform_message", "refusal")


def find_answer(stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the platform's answer to a visible call whose outcome is not known.

    Its code, its sentence, and the refusal that it is once absence is proven. Empty if it answered nothing.
    """
    if stored is None or stored["class"] != OutcomeUnknown.__name__:
        return {}
    return {name: stored[name] for name in _ANSWER if stored.get(name)}


def look_error_to_dict(error: Exception | None, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the error of the visible call as JSON fields, with that of a look at it that failed."""
    return {**get_own_error(stored), LAST_LOOK: error_to_dict(error)}


_COMPARED = ("remote_id", "url", "created_at", "same_caption", "same_kind", "same_media", "same_time")


def _candidate_to_dict(post: ListedPost) -> dict[str, Any]:
    """Return a live post for a user to compare: true agrees, false differs, null is not shown by the platform."""
    made = post.created_at
    return {
        **{name: getattr(post, name) for name in _COMPARED},
        "created_at": None if made is None else made.isoformat(),
        "likely": is_likely(post),
    }
