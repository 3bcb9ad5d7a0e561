"""The documented responses of errors, made of the table of error codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.api.http.response_models import BadRequest, Conflict, Failure, InvalidRequest
from pipeline.api.openapi.codes import CODES

Responses = dict[int | str, dict[str, Any]]
"""Documented responses by status, as FastAPI takes them."""

EVERY_REQUEST = ("bad_request", "method_not_allowed", "request_timeout", "headers_too_large", "unavailable")
"""Of every request, whatever its address: the server decides them before a handler does."""
KEY_ERRORS = ("invalid_token",)
"""Of every request with a key."""
BODY_ERRORS = (
    "payload_too_large",
    "unsupported_media_type",
    "invalid_json",
    "invalid_payload",
    "rate_limited",
)
"""Of every request with a JSON body."""
CLAIM_ERRORS = ("idempotency_key_reused", "not_found", "invalid_payload")
"""Of every request that takes an Idempotency-Key; not_found: what it made was removed."""
PLAN_ERRORS = ("subscription_required", "tier_not_allowed", "insufficient_scope", "rate_limited")
"""Of every request that needs a plan that publishes."""

_REQUEST_ID = {"schema": {"type": "string"}, "description": "The client's own id, or a generated one."}
REQUEST_ID_HEADER: Mapping[str, Any] = {"X-Request-Id": _REQUEST_ID}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
_ALLOW = {"Allow": {"schema": {"type": "string"}, "description": "The methods that the address takes."}}
RATE_HEADERS: Mapping[str, Any] = {
    f"RateLimit-{name}": {"schema": {"type": kind}, "description": description}
    for name, kind, description in (
        (
            "Limit",
            "integer",
            "Posts that the key may send per minute, or per day if fewer of those are left. All RateLimit headers are "
            "absent if the key has no limit. Of a 429 for requests in progress, bytes or uploads: of that limit.",
        ),
        ("Remaining", "integer", "Posts of that limit that the key may still send."),
        (
            "Reset",
            "integer",
            "Seconds until the full limit is available, or after a refusal until the request may be repeated.",
        ),
        ("Policy", "string", "Each limit of the key with its length in seconds: 6000;w=60, 100000;w=86400."),
    )
}
"""Of each answer to a counted request, and of each 429."""
_HEADERS: Mapping[int, Mapping[str, Any]] = {
    405: _ALLOW,
    429: {**_RETRY_AFTER, **RATE_HEADERS},
    503: _RETRY_AFTER,
}
_MODELS: Mapping[int, type[Failure]] = {400: BadRequest, 422: InvalidRequest}


def error_responses(*codes: str, **meanings: str) -> Responses:
    """Return the documented responses for *codes* and those of every request, by status.

    *meanings* are codes with a meaning of their own.
    """
    by_status: dict[int, dict[str, str]] = {}
    for code in dict.fromkeys((*codes, *meanings, *EVERY_REQUEST)):
        for status in CODES[code].statuses:
            by_status.setdefault(status, {})[code] = meanings.get(code, CODES[code].meaning)
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}


def _response(status: int, meanings: Mapping[str, str]) -> dict[str, Any]:
    content = {
        "schema": {"properties": {"code": {"const": status}, "error_code": {"enum": [*meanings]}}},
        "examples": {code: {"value": _example(status, code)} for code in meanings},
    }
    return {
        "model": Conflict if "plan_changed" in meanings else _MODELS.get(status, Failure),
        "description": "; ".join(f"{code}: {meaning}" for code, meaning in meanings.items()) + ".",
        "headers": {**REQUEST_ID_HEADER, **_HEADERS.get(status, {})},
        "content": {"application/json": content},
    }


def _example(status: int, code: str) -> dict[str, Any]:
    example = {"ok": False, "code": status, "message": CODES[code].example, "error_code": code}
    if code == "invalid_payload":
        example["issues"] = [{"path": "caption", "message": "It is required.", "type": "missing"}]
    return example
