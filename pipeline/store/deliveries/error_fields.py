"""Classified errors as JSON fields, as they are stored and shown."""

from __future__ import annotations

from typing import Any

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
    }


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
