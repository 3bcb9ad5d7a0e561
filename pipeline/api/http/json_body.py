"""Read JSON bodies and ids from a request: what every handler of posts, files, accounts and dead letters needs."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from pydantic import ValidationError
from starlette.requests import Request

from pipeline.api.http.body import read_body, require_json
from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.posts.schema import Body, build_invalid_payload
from pipeline.api.posts.unsafe_text import find_unsafe_text
from pipeline.api.state import get_app_state
from pipeline.domain import strict_json
from pipeline.domain.validation_issue import build_issue, issues_from_pydantic

BodyT = TypeVar("BodyT", bound=Body)
UUID_LENGTH = 36
"""With hyphens; ``UUID()`` itself also accepts braces and urn:uuid:."""


async def read_json_body(request: Request, key: UUID | None, max_size: int | None = None) -> bytes:
    """Return the body before it is parsed. Raises Refusal 408, 413, 415, and 429 or 503 as ``BodyBudget`` does.

    *key*: the id of the request's API key, None for the operator. *max_size*: bytes, by default the setting's.
    """
    app_state = get_app_state(request)
    reservation = app_state.body_budget.open(request.scope, key)
    raw = await read_body(request, max_size or app_state.context.settings.api.max_body, reservation)
    require_json(request, raw)
    return raw


def parse_json(raw: bytes, parts: int = strict_json.PARTS) -> Any:
    """Return the parsed body, of at most *parts* brackets, braces and commas. Raises Refusal 400."""
    try:
        return strict_json.parse(raw, parts)
    except strict_json.InvalidJson as error:
        raise HttpRefusal(400, "invalid_json", str(error)) from None


def parse_json_or_empty(raw: bytes) -> Any:
    """Return the parsed body; an empty one is an object without keys, refused for the keys it lacks."""
    return parse_json(raw) if raw else {}


def validate_body(model: type[BodyT], body: Any) -> BodyT:
    """Return the parsed body as a flat *model*. Raises Refusal 422 with every issue."""
    if not isinstance(body, dict):
        raise build_invalid_payload([build_issue((), "The body must be a JSON object.", "model_type")])
    if found := find_unsafe_text(body):
        raise build_invalid_payload(found)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        keys = tuple(model.model_fields)
        raise build_invalid_payload(
            issues_from_pydantic(error.errors(include_url=False), {}, lambda _: keys)
        ) from None


def parse_id(text: str) -> UUID | None:
    """Return the id, or None if *text* is not a UUID with hyphens."""
    try:
        return UUID(text) if len(text) == UUID_LENGTH else None
    except ValueError:
        return None
