"""The columns of a file of posts, derived from the body of POST /posts and its sections, and how a header is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from pydantic import BaseModel

from pipeline.domain.validation_issue import build_issue, find_near
from pipeline.imports.formats import FileProblem


class Kind(Enum):
    """How the text of a cell becomes a value."""

    TEXT = auto()
    """As it stands."""
    WORD = auto()
    """Without outer blanks: ids, URLs, times with an offset, one of several words."""
    INTEGER = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    LIST = auto()
    """Texts, split at ``|`` or newlines; or a JSON array."""
    SPARSE_LIST = auto()
    """The same, where a blank text is null."""
    JSON = auto()
    """Any other value, as JSON; a cell that is not JSON is text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column whose cells are the values of one field."""

    name: str
    path: tuple[str, ...]
    """The keys that lead to the field in the body."""
    kind: Kind


MEDIA_TYPE, MEDIA_URLS, ACCOUNTS = "media_type", "media_urls", "accounts"
SCHEDULED_AT, LOCAL_TIME, TIME_ZONE = "scheduled_at", "local_time", "time_zone"
POST_ID, STATUS, ERROR = "post_id", "status", "error"
OWN_COLUMNS = frozenset({POST_ID, STATUS, ERROR})
"""Columns of the files that are written here: exports, and rows that were rejected."""
_FIRST = (
    "caption", MEDIA_TYPE, MEDIA_URLS, ACCOUNTS, SCHEDULED_AT, LOCAL_TIME, TIME_ZONE, "external_id",
)  # fmt: skip
_WORD_FORMATS = frozenset({"uri", "uuid", "date-time"})
_WORD_NAMES = ("_id", "_url")
_BY_TYPE = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}


def fold_name(cell: str) -> str:
    """Return the name of the column that a cell of a header spells."""
    return cell.strip().casefold()


class Columns:
    """Every column that a file may have: ``names`` in the order of a template."""

    def __init__(self, fields: Sequence[Column]) -> None:
        self.by_name: Mapping[str, Column] = {column.name: column for column in fields}
        rest = [name for name in self.by_name if name not in _FIRST]
        self.names: Sequence[str] = (*_FIRST, *rest)

    def match_header(self, cells: Sequence[str]) -> Sequence[str]:
        """Return the columns of a header as it spells them, without the unnamed ones at its end.

        Raises FileProblem with an issue for each column that is unknown, unnamed, or there twice.
        """
        given = [cell.strip() for cell in cells]
        while given and not given[-1]:
            given.pop()
        names = [name.casefold() for name in given]
        if issues := list(self._find_issues(given, names)):
            more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
            raise FileProblem(
                f"Column {issues[0]['path'] or '?'}: {issues[0]['message']}{more}", issues=issues
            )
        return cells[: len(given)]

    def count_known(self, cells: Sequence[str]) -> int:
        """Return how many of the cells name a column."""
        return sum(self._is_known(fold_name(cell)) for cell in cells)

    def _is_known(self, name: str) -> bool:
        return name in self.by_name or name in _FIRST or name in OWN_COLUMNS

    def _find_issues(self, given: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, Any]]:
        if not self.count_known(names):
            yield build_issue(
                (), "The first line must hold the names of the columns; it has none.", "missing"
            )
            return
        first: dict[str, int] = {}
        for number, name in enumerate(names, 1):
            if not name:
                yield build_issue((), f"Column {number} has no name.", "missing")
            elif name in first:
                message = f"Columns {first[name]} and {number} have the same name."
                yield build_issue((given[number - 1],), message, "equal_columns", given[number - 1])
            elif not self._is_known(name):
                near = find_near(name, (*self.names, *OWN_COLUMNS))
                hint = f"; did you mean `{near}`?" if near else "."
                yield build_issue(
                    (given[number - 1],),
                    f"There is no such column{hint}",
                    "extra_forbidden",
                    given[number - 1],
                )
            first.setdefault(name, number)


def build_columns(body: type[BaseModel]) -> Columns:
    """Return the columns for a body of POST /posts: its fields, and those of its sections as ``section.field``."""
    schema = body.model_json_schema()
    found = _walk(schema["properties"], (), schema.get("$defs", {}))
    special = (
        Column(MEDIA_TYPE, ("media", "type"), Kind.WORD),
        Column(MEDIA_URLS, ("media", "urls"), Kind.LIST),
        Column(ACCOUNTS, ("accounts",), Kind.LIST),
    )
    return Columns([*special, *(column for column in found if column.name not in (ACCOUNTS, SCHEDULED_AT))])


def _walk(
    properties: Mapping[str, Any], path: tuple[str, ...], definitions: Mapping[str, Any]
) -> Iterator[Column]:
    for key, given in properties.items():
        choices = list(_resolve(given, definitions))
        place = (*path, key)
        if all("properties" in choice for choice in choices):
            inner = {name: value for choice in choices for name, value in choice["properties"].items()}
            if key == "media":
                inner = {name: value for name, value in inner.items() if name not in ("type", "url", "urls")}
            yield from _walk(inner, place, definitions)
        else:
            yield Column(".".join(place), place, _choose_kind(key, choices, definitions))


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives of a schema, without null and references."""
    if reference := schema.get("$ref"):
        yield from _resolve(definitions[reference.rpartition("/")[2]], definitions)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for one in alternatives:
            yield from _resolve(one, definitions)
    elif schema.get("type") != "null":
        yield schema


def _choose_kind(key: str, choices: Sequence[Mapping[str, Any]], definitions: Mapping[str, Any]) -> Kind:
    if len(choices) > 1:
        return Kind.JSON
    schema = choices[0]
    if schema.get("type") == "array":
        if [one.get("type") for one in _resolve(schema["items"], definitions)] != ["string"]:
            return Kind.JSON
        return Kind.SPARSE_LIST if {"type": "null"} in schema["items"].get("anyOf", ()) else Kind.LIST
    if schema.get("type") == "string":
        is_word = "enum" in schema or schema.get("format") in _WORD_FORMATS or key.endswith(_WORD_NAMES)
        return Kind.WORD if is_word else Kind.TEXT
    return _BY_TYPE.get(schema.get("type", ""), Kind.JSON)
