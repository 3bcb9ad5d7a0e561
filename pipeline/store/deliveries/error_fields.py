"""Classified errors as JSON fields, as they are stored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.errors import OutcomeUnknown
from adapters.listing import ListedPost


def error_to_dict(error: Exception | None) -> dict[str, Any] | None:
    """Return a classified error as JSON fields: our code, class and fault, with the platform's code and sentence."""
    if error is None:
        return None
    kind = type(error)
    names = {k.__name__ for k in kind.__mro__}
    fault = (
        "customer" if names & {"Permanent", "NeedsPerson"} else "platform" if "Retryable" in names else "us"
    )
    fault = {"OutcomeUnknown": "platform", "AppRefused": "us"}.get(kind.__name__, fault)
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
    """Return what the platform answered to the visible call whose outcome is not known.

    Its code, its sentence, and the refusal that it is once absence is proven: of the stored error itself, or as kept
    with the error of a later look. Empty if it answered nothing.
    """
    if stored is None:
        return {}
    answer = stored if stored["class"] == OutcomeUnknown.__name__ else stored.get("visible_call", {})
    return {name: answer[name] for name in _ANSWER if answer.get(name)}


def look_error_to_dict(error: Exception | None, stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the error of a look as JSON fields, with the answer to the visible call that the stored one has."""
    fields, answer = error_to_dict(error), find_answer(stored)
    return {**fields, "visible_call": answer} if fields and answer else fields


def _candidate_to_dict(post: ListedPost) -> dict[str, Any]:
    """Return a live post for a person to compare: true agrees, false differs, null is not shown by the platform."""
    return {
        "remote_id": post.remote_id,
        "url": post.url,
        "created_at": None if post.created_at is None else post.created_at.isoformat(),
        "same_caption": post.same_caption,
        "same_kind": post.same_kind,
        "same_media": post.same_media,
    }
