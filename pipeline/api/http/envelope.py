"""Build responses in the envelope that all of them share, and turn errors into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json
from starlette.requests import Request
from starlette.responses import Response

from config.settings import settings
from pipeline.api.http.representation import VARY, NegotiatedResponse
from pipeline.api.http.response_models import DataT
from pipeline.stages.post_request import Refusal

RETRY_AFTER = 2
"""Seconds a client should wait when a limit is reached or a service is unreachable."""

_ALWAYS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": str(RETRY_AFTER)},
}


def build_error_link(code: str) -> str:
    """Return the URL at which the reference explains an error code."""
    return build_link(f"/reference#error-{code}")


def build_link(path: str) -> str:
    """Return the URL of a path of this server, as clients reach it."""
    return f"{settings().own_url}{path}"


@dataclass
class HttpRefusal(Refusal):
    """A refusal with response headers."""

    headers: Mapping[str, str] = field(default_factory=dict)


def refuse_too_many(limit: int, message: str, wait: int = RETRY_AFTER) -> HttpRefusal:
    """Build the 429 of a limit that is used up: *limit* of what *message* names, free again in *wait* seconds."""
    left = {"RateLimit-Limit": str(limit), "RateLimit-Remaining": "0", "RateLimit-Reset": str(wait)}
    return HttpRefusal(429, "rate_limited", message, headers={**left, "Retry-After": str(wait)})


def refuse_unknown(what: str) -> HttpRefusal:
    """Build the 404 of a thing that the key does not see; one that does not exist is answered alike."""
    return HttpRefusal(404, "not_found", f"There is no such {what}.")


_ON_EACH = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"vary", VARY.encode()),
]
"""Headers of every JSON response."""


class JsonResponse(NegotiatedResponse):
    """A response whose body is the JSON of a mapping, models in it included. Caches do not keep it."""

    media_type = "application/json"

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the length of the body, the headers of every response, and *headers*, which names none of these."""
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), *_ON_EACH]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))

    def render(self, content: Mapping[str, Any]) -> bytes:
        """Encode *content*, lone surrogates as question marks."""
        try:
            return to_json(content)
        except PydanticSerializationError:
            # a refusal may quote a lone surrogate, which UTF-8 cannot encode
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_dump_model)
            return text.encode("utf-8", "replace")


def _dump_model(model: BaseModel) -> Any:
    return model.model_dump(mode="json")


class SuccessResponse(JsonResponse, Generic[DataT]):
    """Return type of a handler: it declares the data for the type checker and for the OpenAPI document."""


def success(
    message: str, data: DataT, *, code: int = 200, headers: Mapping[str, str] | None = None
) -> SuccessResponse[DataT]:
    """Return *data* in the success envelope (``response_models.Success``)."""
    return SuccessResponse({"ok": True, "code": code, "message": message, "data": data}, code, headers)


def failure(
    code: int,
    error_code: str,
    message: str,
    *,
    issues: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Return an error in the envelope. A 422 always lists its issues."""
    link = build_error_link(error_code)
    body: dict[str, Any] = {
        "ok": False,
        "code": code,
        "message": message,
        "error_code": error_code,
        "help": link,
    }
    if issues or code == 422:  # noqa: PLR2004  an HTTP status
        body["issues"] = list(issues)
    return JsonResponse({**body, **(more or {})}, code, {**_ALWAYS.get(code, {}), **(headers or {})})


def render_refusal(refusal: Refusal) -> Response:
    """Return the response for *refusal*."""
    headers = refusal.headers if isinstance(refusal, HttpRefusal) else {}
    return failure(refusal.status, refusal.code, refusal.message, issues=refusal.issues, headers=headers)


def render_unreachable() -> Response:
    """Return 503 for an unreachable database."""
    return failure(503, "unavailable", "The database cannot be reached. Repeat the request in a few seconds.")


def render_stopping() -> Response:
    """Return 503 for a request cut off by a shutdown. If its post was stored already, the repeat returns that post."""
    return failure(503, "unavailable", "The server is being stopped. Repeat the request in a few seconds.")


def render_internal_error(method: str, path: str) -> Response:
    """Return 500 for an unhandled exception, without its details."""
    creating = method == "POST" and path.rstrip("/").endswith(("/posts", "/posts/batch"))
    text = (
        "The post could not be stored; it is safe to repeat the request."
        if creating
        else "Something went wrong."
    )
    return failure(500, "create_failed" if creating else "internal_error", text)


def render_http_error(request: Request, status: int, headers: Mapping[str, str] | None) -> Response:
    """Return the response for an error that the framework raises by itself, such as an unknown path."""
    if status == 404:  # noqa: PLR2004  an HTTP status
        return failure(404, "not_found", "There is nothing at this address.")
    if status == 405:  # noqa: PLR2004
        return failure(
            405, "method_not_allowed", f"This address does not take {request.method}.", headers=headers
        )
    return failure(status, "bad_request", "The request cannot be read.", headers=headers)
