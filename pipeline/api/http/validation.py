"""Validate bodies and queries: the bases of their models, and what no field of any may hold.

Text that no field may hold, anywhere in a body: NUL, lone surrogates, and very long objects or arrays.

Unknown query parameters: one that resembles a known parameter is refused, the others are ignored and named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, unquote_plus

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import QueryParams

from pipeline.domain.validation_issue import MAX_ISSUES, build_issue, find_near, issues_from_pydantic
from pipeline.stages.post_request import Refusal


class Body(BaseModel):
    """A request body: strict types (no "5" for 5, no 1 for true) and no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    tags: ClassVar[Mapping[str, Collection[str]]] = {}
    """Tags that pydantic puts into the paths of its unions, by field."""
    nested: ClassVar[Mapping[str | int, type[BaseModel]]] = {}
    """The models of its objects, by their fields."""

    @classmethod
    def list_keys(cls, path: Sequence[str | int]) -> Sequence[str]:
        """Return the keys that an object may have at a place in the body."""
        return tuple((cls.nested.get(path[0], cls) if path else cls).model_fields)

    @classmethod
    def describe(cls, issue: dict[str, Any]) -> dict[str, Any]:
        """Return an issue of this body as a client reads it."""
        return issue

    def find_conflicts(self) -> Iterable[dict[str, Any]]:
        """Find the issues that only several fields together have."""
        return ()


BodyT = TypeVar("BodyT", bound=Body)


def build_invalid_payload(issues: Sequence[Mapping[str, Any]]) -> Refusal:
    """Build the 422 that lists these issues; its message is the first of them."""
    first, more = issues[0], len(issues) - 1
    where = f"{first['path']}: " if first["path"] else ""
    tail = f" (and {more} more)" if more else ""
    return Refusal(422, "invalid_payload", f"{where}{first['message']}{tail}", issues[:MAX_ISSUES])


def validate_body(model: type[BodyT], body: Any, rules: Any = None, *, is_safe: bool = False) -> BodyT:
    """Return the parsed body as a *model*. Raises Refusal 422 with every issue.

    *rules*: the context of its fields. *is_safe*: the search for unsafe text would find nothing.
    """
    if not isinstance(body, dict):
        raise build_invalid_payload([build_issue((), "The body must be a JSON object.", "model_type")])
    if not is_safe and (found := find_unsafe_text(body)):
        raise build_invalid_payload(found)
    try:
        read = model.model_validate(body, context=rules)
    except ValidationError as error:
        issues = issues_from_pydantic(error.errors(include_url=False), model.tags, model.list_keys)
        raise build_invalid_payload([*map(model.describe, issues)]) from None
    if issues := [*read.find_conflicts()]:
        raise build_invalid_payload(issues)
    return read


MAX_MEMBERS = 100
"""Members of one object or array: over twice what any field allows. Without a limit, each could cost an issue."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Path = tuple[str | int, ...]


def find_unsafe_text(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an issue for each NUL (PostgreSQL refuses it), lone surrogate (UTF-8 does) and over-long container."""
    return list(islice(_walk(body, ()), MAX_ISSUES))


def is_safe_text(raw: bytes) -> bool:
    """Return True if the bytes alone show that ``find_unsafe_text`` would find nothing in this JSON.

    NUL and lone surrogates pass JSON and UTF-8 only as escapes, and every member of an object or array but the first
    follows a comma.
    """
    return not has_escapes(raw) and raw.count(b",") < MAX_MEMBERS


def has_escapes(raw: bytes) -> bool:
    """Return True if this JSON may hold a NUL or a lone surrogate."""
    return b"\\u" in raw


def is_short(value: dict[str, Any] | list[Any]) -> bool:
    """Return True if neither it nor any object or array in it has too many members."""
    members: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return len(value) <= MAX_MEMBERS and all(is_short(one) for one in members if type(one) in (dict, list))


def _walk(value: Any, path: Path) -> Iterator[dict[str, Any]]:
    if isinstance(value, str):
        if fault := _fault(value):
            yield build_issue(path, f"It holds {fault}.", "string_unicode")
    elif isinstance(value, dict | list):
        if len(value) > MAX_MEMBERS:
            yield build_issue(
                path, f"It has {len(value):,} members; at most {MAX_MEMBERS} are allowed.", "too_long"
            )
            return
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(name, str) and (fault := _fault(name)):
                yield build_issue(path, f"One of its keys holds {fault}.", "string_unicode")
            yield from _walk(inner, (*path, name))


def _fault(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character (\\u0000)"
    if not text.isascii() and _SURROGATE.search(text):
        return "a lone surrogate (\\ud800 to \\udfff), which is not a character"
    return None


# --- queries ----------------------------------------------------------------------------------------------------------


class Query(Body):
    """A query string: values are texts, read as what their fields are."""

    model_config = ConfigDict(strict=False)


QueryT = TypeVar("QueryT", bound=Query)


def read_query(model: type[QueryT], raw: bytes) -> QueryT:
    """Parse a query string. Raises Refusal 422, also for a name that resembles a known one; other names are ignored."""
    refuse_near_misses(raw, model.model_fields)
    given = {name: text for name, text in QueryParams(raw).items() if text and name in model.model_fields}
    return validate_body(model, given)


IGNORED_HEADER = b"x-ignored-parameters"
"""Response header with the names of the query parameters that had no effect."""
_OF_OFFSETS = frozenset({"page", "offset"})
"""Parameters that would return the first page for ever where pages have cursors."""
_MAX_NAME, _MAX_NAMES = 64, 20
"""Characters of a name, and names, in the header."""


def refuse_near_misses(query: bytes, known: Collection[str]) -> None:
    """Raise Refusal 422 for every unknown parameter that resembles one of *known*, or pages where cursors do."""
    issues = []
    for name in _list_unknown(query, known):
        if name in _OF_OFFSETS and "cursor" in known:
            message = "Pages have no number: send next_cursor of the previous answer as `cursor`."
            issues.append(build_issue((name,), message, "extra_forbidden"))
        elif near := find_near(name, known):
            message = f"There is no such query parameter; did you mean `{near}`?"
            issues.append(build_issue((name,), message, "extra_forbidden"))
    if issues:
        raise build_invalid_payload(issues)


def name_ignored(query: bytes, known: Collection[str]) -> bytes:
    """Return the value of `IGNORED_HEADER`: the names, percent-encoded and separated by commas; empty for none."""
    names = [quote(name[:_MAX_NAME], safe="[]$") for name in _list_unknown(query, known)]
    return ", ".join(names[:_MAX_NAMES]).encode()


def _list_unknown(query: bytes, known: Collection[str]) -> Iterator[str]:
    parts = query.decode("latin-1").split("&")
    names = dict.fromkeys(unquote_plus(part.partition("=")[0], errors="replace") for part in parts if part)
    return (name for name in names if name and name not in known)
