"""What is wrong with a request, one issue per place, as a 422 lists them: path, sentence, type, and the value found."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

MOST = 50
"""Issues in one answer; who sends more mistakes than that needs no longer list."""
_SHOWN = 100
"""Characters of a value that are shown."""
_LONGEST_NEAR = 64
"""Characters of an unknown key for which a similar known one is looked for; the search is quadratic."""

Known = Callable[[Sequence[str | int]], Iterable[str]]
"""The keys an object may have, by pydantic's location of it."""

_TOKEN = re.compile(r"[A-Za-z0-9]+_(?:live|test)_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}|(?i:bearer )\S+")
_SECRET_PARTS = re.compile(r"(?<=://)[^/@\s]*@|[?#]\S*")
_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}
_WANTED = {
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


def issue(path: Sequence[str | int], message: str, kind: str, value: Any = ...) -> dict[str, Any]:
    """One issue. ``value`` is left out when there is none (``...``) or when it is an object or array."""
    found = {"path": shown(".".join(map(str, path))), "message": message, "type": kind}
    return found if value is ... or isinstance(value, dict | list) else {**found, "value": shown(value)}


def shown(value: Any) -> Any:
    """A value fit for an answer: clipped, and without what might be a secret (tokens, queries of signed URLs)."""
    if isinstance(value, int | float) and len(str(value)) > _SHOWN:
        value = str(value)
    if not isinstance(value, str):
        return value
    value = _TOKEN.sub("[hidden]", value[: 10 * _SHOWN])
    if "://" in value:
        value = _SECRET_PARTS.sub("", value)
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"


def of_pydantic(
    errors: Iterable[ErrorDetails], tags: Mapping[str, Collection[str]], known: Known
) -> list[dict[str, Any]]:
    """Pydantic's errors as issues. ``tags``: by field, the words pydantic puts into paths for its union's members."""
    return [_one(error, _path(error["loc"], tags), known) for error in errors]


def _one(error: ErrorDetails, path: Sequence[str | int], known: Known) -> dict[str, Any]:
    kind, value, facts = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return issue(path, "It is required.", kind)
    if kind == "extra_forbidden":
        return issue(path, _unknown(str(path[-1]), known(error["loc"][:-1])), kind, value)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _tag(path, value, facts.get("expected_tags"))
    if wanted := _WANTED.get(kind):
        return issue(path, _instead(wanted, value), kind, value)
    if kind == "literal_error":
        return issue(path, f"Must be {facts['expected']}.", kind, value)
    if kind == "string_too_long":
        return issue(path, f"{facts['max_length']:,} characters at most; it has {len(value):,}.", kind, value)
    if kind == "string_too_short":
        return issue(path, "It must not be empty.", kind, value)
    if kind == "too_short":
        return issue(path, "It must not be empty.", kind)
    return issue(path, error["msg"].replace("Input should be", "Must be").rstrip(".") + ".", kind, value)


def _instead(wanted: str, value: Any) -> str:
    found = _KINDS.get(type(value), "that")
    return "The number is out of range." if found == wanted else f"Must be {wanted}, not {found}."


def _tag(path: Sequence[str | int], value: Any, expected: str | None) -> dict[str, Any]:
    """The word that says which form an object has is missing, or is none we know."""
    given = value.get("type", ...) if isinstance(value, dict) else ...
    if given is ...:
        return issue((*path, "type"), "It is required.", "missing")
    words = (expected or "a string we know").replace(", ", " or ")
    return issue((*path, "type"), f"Must be {words}.", "literal_error", given)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.casefold(), known, n=1) if len(name) <= _LONGEST_NEAR else []
    return "There is no such field" + (f"; did you mean `{near[0]}`?" if near else ".")


def _path(loc: Sequence[str | int], tags: Mapping[str, Collection[str]]) -> Sequence[str | int]:
    """A location without the union's own words: media.video.url is media.url to whoever wrote it."""
    if len(loc) > 1 and str(loc[1]) in tags.get(str(loc[0]), ()):
        return (loc[0], *loc[2:])
    return loc
