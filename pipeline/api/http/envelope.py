"""The one shape of every answer, and how what went wrong becomes one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from starlette.requests import Request
from starlette.responses import Response

from pipeline.stages.post_request import Refusal

RETRY_AFTER = 2
"""Seconds a client should wait when a part of us is away or full."""

_ALWAYS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": str(RETRY_AFTER)},
}


@dataclass
class HttpRefusal(Refusal):
    """A refusal that HTTP itself knows, with the headers that belong to it."""

    headers: Mapping[str, str] = field(default_factory=dict)


def success(
    message: str, data: Mapping[str, Any], *, code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """What was asked for."""
    return _Answer({"ok": True, "code": code, "message": message, "data": data}, code, headers)


def failure(
    code: int,
    error_code: str,
    message: str,
    *,
    issues: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Why not. 422 lists its issues; nothing else carries data."""
    body: dict[str, Any] = {"ok": False, "code": code, "message": message, "error_code": error_code}
    if issues or code == 422:  # noqa: PLR2004  an HTTP status
        body["issues"] = list(issues)
    return _Answer({**body, **(more or {})}, code, {**_ALWAYS.get(code, {}), **(headers or {})})


def refused(refusal: Refusal) -> Response:
    """A refusal as an answer."""
    headers = refusal.headers if isinstance(refusal, HttpRefusal) else {}
    return failure(refusal.status, refusal.code, refusal.message, issues=refusal.issues, headers=headers)


def away() -> Response:
    """The database cannot be reached: nothing can be read or stored, and the client should come again."""
    return failure(503, "unavailable", "The database cannot be reached. Repeat the request in a moment.")


def stopping() -> Response:
    """The server ends before the work does. What was stored meanwhile is found by the repeat."""
    return failure(503, "unavailable", "The server is being stopped. Repeat the request in a moment.")


def unforeseen(method: str, path: str) -> Response:
    """A bug of ours: said without any of its insides."""
    creating = method == "POST" and path.rstrip("/").endswith("/posts")
    said = (
        "The post could not be stored; it is safe to repeat the request."
        if creating
        else "Something went wrong."
    )
    return failure(500, "create_failed" if creating else "internal_error", said)


def unrouted(request: Request, status: int, headers: Mapping[str, str] | None) -> Response:
    """No such path, or not with this method, or whatever else the framework refuses by itself."""
    if status == 404:  # noqa: PLR2004  an HTTP status
        return failure(404, "not_found", "There is nothing at this address.")
    if status == 405:  # noqa: PLR2004
        return failure(
            405, "method_not_allowed", f"This address does not take {request.method}.", headers=headers
        )
    return failure(status, "bad_request", "The request cannot be read.", headers=headers)


class _Answer(Response):
    media_type = "application/json"

    def render(self, content: Mapping[str, Any]) -> bytes:
        try:
            return to_json(content)
        except PydanticSerializationError:
            # a lone surrogate that is shown back must not make a refusal an error of ours
            return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
