"""Issues of a 422: path, message, type and value found, made from pydantic's errors or by our own rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

MAX_ISSUES = 50
"""Issues in one response."""
_MAX_VALUE = 100
"""Characters of a value in an issue."""
_MAX_COMPARED = 64
"""Characters of an unknown key up to which similar names are searched: the search is quadratic."""

Known = Callable[[Sequence[str | int]], Iterable[str]]
"""Returns the keys that the object at a location (pydantic's ``loc``) may have."""

_TOKEN = re.compile(r"[A-Za-z0-9]+_(?:live|test)_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}|(?i:bearer )\S+")
_SECRET_PARTS = re.compile(r"(?<=://)[^/@\s]*@|[?#]\S*")
_TYPE_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}
_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "an array",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
    "int_from_float": "a whole number",
}
"""The value that each error type of pydantic expects."""
_OF_PYDANTIC = frozenset({"error", "expected", "max_length"})
"""Keys of the context by which an error of pydantic is distinguished from a custom one of the same type."""
_ALIASES = {"enum": "literal_error"}
"""The type of an issue for an error type of pydantic that means the same."""
_CUSTOM = frozenset(
    {"blank", "cursor", "datetime_parsing", "datetime_type", "literal_error", "time_zone", "too_long"}
    | {"url_parsing", "uuid_parsing", "value_error"}
)
"""Types of errors that our validators raise, with a sentence of their own unless pydantic gives a context."""
_UUID = "Must be a UUID such as 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812."
_MESSAGES: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "missing": lambda _value, _context: "It is required.",
    "literal_error": lambda _value, context: f"Must be {context['expected']}.",
    "string_too_long": lambda value, context: (
        f"{context['max_length']:,} characters at most; it has {len(value):,}."
    ),
    "string_too_short": lambda _value, _context: "It must not be empty.",
    "too_short": lambda _value, _context: "It must not be empty.",
    "too_long": lambda _value, context: (
        f"{context['max_length']} at most; there are {context['actual_length']}."
    ),
    "greater_than": lambda _value, context: f"Must be more than {context['gt']}.",
    "greater_than_equal": lambda _value, context: f"Must be {context['ge']} or more.",
    "less_than": lambda _value, context: f"Must be less than {context['lt']}.",
    "less_than_equal": lambda _value, context: f"Must be {context['le']} or less.",
    "string_pattern_mismatch": lambda _value, context: f"Must have the form {context['pattern']}.",
    "string_unicode": lambda _value, _context: "It holds a lone surrogate, which is not a character.",
    "bool_parsing": lambda _value, _context: "Must be true or false.",
    "int_parsing": lambda _value, _context: "Must be a whole number.",
    "int_parsing_size": lambda _value, _context: "The number is out of range.",
    "float_parsing": lambda _value, _context: "Must be a number.",
    "finite_number": lambda _value, _context: "Must be a finite number.",
    "uuid_type": lambda _value, _context: _UUID,
    "uuid_parsing": lambda _value, _context: _UUID,
}
"""Messages by pydantic's error type, from the value and the error's context."""
ISSUE_TYPES = (
    *sorted({*_EXPECTED, *_MESSAGES, *_CUSTOM}),
    *("null", "extra_forbidden", "exclusive", "rule"),
    *("invalid_json", "csv", "quote", "row_width", "equal_columns", "rounded", "account"),
)
"""Every type of an issue, which names the broken rule; the code of a refusal is never one."""


def build_issue(path: Sequence[str | int], message: str, kind: str, value: Any = ...) -> dict[str, Any]:
    """Return an issue at *path*. *value* is left out if there is none (``...``) or it is an object or array."""
    issue = {"path": redact(".".join(map(str, path))), "message": message, "type": kind}
    return issue if value is ... or isinstance(value, dict | list) else {**issue, "value": redact(value)}


def redact(value: Any) -> Any:
    """Return a value that is safe in a response: shortened, and without tokens, passwords and queries of URLs."""
    if isinstance(value, int | float) and len(str(value)) > _MAX_VALUE:
        value = str(value)
    if not isinstance(value, str):
        return value
    value = _TOKEN.sub("[hidden]", value[: 10 * _MAX_VALUE])
    if "://" in value:
        value = _SECRET_PARTS.sub("", value)
    return value if len(value) <= _MAX_VALUE else value[: _MAX_VALUE - 1] + "…"


def issues_from_pydantic(
    errors: Iterable[ErrorDetails], tags: Mapping[str, Collection[str]], known: Known
) -> list[dict[str, Any]]:
    """Convert pydantic's errors. *tags*: by field, the names of union members that pydantic adds to locations."""
    return [_to_issue(error, _path(error["loc"], tags), known) for error in errors]


def _to_issue(error: ErrorDetails, path: Sequence[str | int], known: Known) -> dict[str, Any]:
    value, context = error["input"], error.get("ctx", {})
    kind = _ALIASES.get(error["type"], error["type"])
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _tag_issue(path, value, context.get("expected_tags"))
    if kind == "extra_forbidden":
        message = _describe_unknown(str(path[-1]), known(error["loc"][:-1]))
    elif expected := _EXPECTED.get(kind):
        message = _describe_type(expected, value)
    elif kind in _CUSTOM and not context.keys() & _OF_PYDANTIC:
        message = error["msg"]
    elif kind in _MESSAGES:
        message = _MESSAGES[kind](value, context)
    else:
        kind, message = (
            "value_error",
            "The field does not take this value: the reference describes what it takes.",
        )
    return build_issue(path, message, kind, *(() if kind in ("missing", "too_short") else (value,)))


def _describe_type(expected: str, value: Any) -> str:
    found = _TYPE_NAMES.get(type(value), "that")
    return "The number is out of range." if found == expected else f"Must be {expected}, not {found}."


def _tag_issue(path: Sequence[str | int], value: Any, expected: str | None) -> dict[str, Any]:
    """Return the issue for an object whose ``type`` is missing or unknown."""
    given = value.get("type", ...) if isinstance(value, dict) else ...
    if given is ...:
        return build_issue((*path, "type"), "It is required.", "missing")
    choices = (expected or "a known string").replace(", ", " or ")
    return build_issue((*path, "type"), f"Must be {choices}.", "literal_error", given)


def find_near(name: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that resembles *name* most, or None."""
    near = get_close_matches(name.casefold(), known, n=1) if len(name) <= _MAX_COMPARED else []
    return near[0] if near else None


def _describe_unknown(name: str, known: Iterable[str]) -> str:
    near = find_near(name, known)
    return "There is no such field" + (f"; did you mean `{near}`?" if near else ".")


def _path(loc: Sequence[str | int], tags: Mapping[str, Collection[str]]) -> Sequence[str | int]:
    """Return a location without the union's tag: media.video.url becomes media.url, as in the request."""
    before = ("", *loc)
    return [part for n, part in enumerate(loc) if str(part) not in tags.get(str(before[n]), ())]
