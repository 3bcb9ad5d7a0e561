"""Validate bodies and queries: the bases of their models, and what no field of any may hold.

Text that no field may hold, anywhere in a body: NUL, lone surrogates, and very long objects or arrays.

Unknown query parameters: one that resembles a known parameter is refused, the others are ignored and named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
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

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Parse a query string. Raises Refusal 422, also for a name like a known one; other names are ignored."""
        refuse_near_misses(raw, cls.model_fields)
        given = {name: text for name, text in QueryParams(raw).items() if text and name in cls.model_fields}
        return validate_body(cls, given)


class TextQuery(Query):
    """A query whose fields read their texts themselves (``ReadBy``), and stand in it once.

    A + stays a + but in *words*: clients send the offset of a time unescaped.
    """

    words: ClassVar[Collection[str]] = ()
    """Parameters that people type: a + is a blank there, as forms and most libraries send it."""

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Parse a query string. Raises Refusal 422, also for a name like a known one; other names are ignored."""
        refuse_near_misses(raw, cls.model_fields)
        given: dict[str, str] = {}
        for name, text in cls._list_pairs(raw):
            if name in given:
                message = "It appears more than once in the query."
                raise build_invalid_payload([build_issue((name,), message, "value_error", text)])
            given[name] = text
        return validate_body(cls, given, is_safe=True)

    @classmethod
    def _list_pairs(cls, raw: bytes) -> Iterator[tuple[str, str]]:
        """Yield known names with their values."""
        for part in raw.split(b"&"):
            name, _, value = part.partition(b"=")
            found = name.decode("latin-1")
            if found in cls.model_fields and value:
                plain = value.replace(b"+", b" ") if found in cls.words else value
                yield found, unquote_to_bytes(plain).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, eq=False)  # typing hashes annotations, and a schema has no hash
class ReadBy:
    """Annotation of a parameter: *read* makes its value of the text or raises ValueError; *schema* documents it."""

    read: Callable[[str], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that calls ``read``."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return ``schema``."""
        return dict(self.schema)

    def _read(self, value: Any) -> Any:
        try:
            return self.read(str(value))
        except ValueError as error:
            raise PydanticCustomError("value_error", str(error)) from None


def one_of_words(names: Sequence[str], to_value: Callable[[str], Any] = str) -> ReadBy:
    """Return how one of these words is read, and made a value."""

    def read(text: str) -> Any:
        if text not in names:
            raise ValueError(f"Must be one of {', '.join(names)}.")
        return to_value(text)

    return ReadBy(read, {"type": "string", "enum": [*names]})


def whole_number(least: int, most: int) -> ReadBy:
    """Return how a whole number in this range is read."""

    def read(text: str) -> int:
        plain = text.isascii() and text.isdigit() and len(text) <= 9  # noqa: PLR2004
        if not plain or not least <= int(text) <= most:
            raise ValueError(f"Must be a whole number from {least} to {most}.")
        return int(text)

    return ReadBy(read, {"type": "integer", "minimum": least, "maximum": most})


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
