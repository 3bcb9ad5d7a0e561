"""Files of posts: the format, its limits and problems, the rows that reading yields, and its columns.

The columns are derived from the body of POST /posts and its sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from adapters.contract import Platform
from pipeline.domain.validation_issue import build_issue, find_near
from pipeline.stages.post_request import Refusal

HEAD_BYTES = 512
"""Bytes of the beginning of a file that `detect_format` needs."""


Cells = Sequence[tuple[str, str]]
"""The cells of a row in order, each with its column's name as the header spells it; "" beyond the header."""


class Format(StrEnum):
    """The formats of files of posts."""

    NDJSON = "ndjson"
    CSV = "csv"
    XLSX = "xlsx"
    ODS = "ods"

    @property
    def is_spreadsheet(self) -> bool:
        """Return True for archives that hold sheets of cells."""
        return self in (Format.XLSX, Format.ODS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRow:
    """One row of a file: the body of a post, or what is wrong with it."""

    number: int
    """From 1, without the header and blank rows."""
    line: int
    """The first physical line of the row, or its row in the sheet, from 1."""
    body: Mapping[str, Any] | None
    """As POST /posts takes it, except that an account may be ``{"account": "platform:username"}``; None with issues."""
    issues: Sequence[Mapping[str, Any]] = ()
    """``path, message, type, value?`` as in a 422; the path is a column's name, or a key's."""
    source: Cells | str
    """The cells, or the line; blank ones, or cut, if the row cannot be read or is over the limit."""
    next_position: int
    """Where the next row starts, for ``open_rows(position=…)``. Opaque; fits 63 bits."""
    post_id: str | None = None
    """The id of the post that this row was exported from."""


class FileProblem(Refusal):
    """Why no row of a file can be used."""

    def __init__(
        self, message: str, status: int = 422, code: str = "invalid_payload", issues: Sequence[Any] = ()
    ) -> None:
        super().__init__(status, code, message, issues)


def build_too_large(message: str) -> FileProblem:
    """Return the problem of a file that is over a limit."""
    return FileProblem(message, 413, "payload_too_large")


def build_unsupported(message: str) -> FileProblem:
    """Return the problem of a file in a format or encoding that is not read."""
    return FileProblem(message, 415, "unsupported_media_type")


_BY_ENDING = {
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".json": Format.NDJSON,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".txt": Format.CSV,
    ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX,
    ".ods": Format.ODS,
}
_BY_CONTENT_TYPE = {
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "application/json": Format.NDJSON,
    "text/csv": Format.CSV,
    "text/tab-separated-values": Format.CSV,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": Format.XLSX,
    "application/vnd.oasis.opendocument.spreadsheet": Format.ODS,
}
_REFUSED_HEADS = {
    b"\xd0\xcf\x11\xe0": "It is an Excel file of before 2007, or has a password. Save it as .xlsx without a password.",
    b"\x1f\x8b": "It is compressed. Send it with Content-Encoding: gzip.",
    b"\x28\xb5\x2f\xfd": "It is compressed. Send it with Content-Encoding: zstd.",
    b"%PDF": "It is a PDF file. Send NDJSON, CSV, XLSX or ODS.",
}
_ARCHIVE = b"PK\x03\x04"
_ODS_TYPE = (
    b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"  # a stored first member (ODF 1.3, part 2, 3.3)
)


def detect_format(name: str | None, content_type: str | None, head: bytes) -> Format:
    """Return the format of a file from its first `HEAD_BYTES`, its name and its content type, in this order.

    ``head``: of the file without its content encoding; empty if it is not at hand. Raises FileProblem.
    """
    for start, message in _REFUSED_HEADS.items():
        if head.startswith(start):
            raise build_unsupported(message)
    named = _BY_ENDING.get(PurePath(name or "").suffix.lower())
    typed = _BY_CONTENT_TYPE.get((content_type or "").partition(";")[0].strip().lower())
    said = named or typed
    if head.startswith(_ARCHIVE):
        return Format.ODS if _ODS_TYPE in head else Format.XLSX
    if head and said is not None and said.is_spreadsheet:
        raise FileProblem(f"It is named {said}, and its bytes are not those of a spreadsheet.")
    if said is not None:
        return said
    return Format.NDJSON if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else Format.CSV


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
BY_PLATFORM = "by_platform"
"""Where the body of a row of cells has what its accounts on each platform have of their own, until they are known."""
SCHEDULED_AT, LOCAL_TIME, TIME_ZONE = "scheduled_at", "local_time", "time_zone"
DATE, TIME = "date", "time"
TIMES = (SCHEDULED_AT, LOCAL_TIME, DATE, TIME)
"""Columns of a row's time."""
POST_ID, STATUS, ERROR = "post_id", "status", "error"
REFUSED = "refused"
"""Where a row of NDJSON has what its maker could not say in it: ``[field, why, value]`` each."""
OWN_COLUMNS = frozenset({POST_ID, STATUS, ERROR})
"""Columns of the files that are written here: exports, and rows that were rejected."""
_FIRST = (
    "caption", MEDIA_TYPE, MEDIA_URLS, ACCOUNTS, SCHEDULED_AT, LOCAL_TIME, TIME_ZONE, "external_id",
)  # fmt: skip
_UNLISTED = frozenset({DATE, TIME, *OWN_COLUMNS})
"""Columns that a file may have and a template has not."""
_WORD_FORMATS = frozenset({"uri", "uuid", "date-time"})
_WORD_NAMES = ("_id", "_url")
_BY_TYPE = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}


MAX_NAMED = 20
"""Columns that one problem names."""


def fold_name(cell: str) -> str:
    """Return what the spellings of a name have in common: ``Media Type`` is ``media_type``."""
    return "".join(filter(str.isalnum, cell.casefold()))


class Columns:
    """Every column that a file may have: ``names`` in the order of a template.

    ``renamed``: our columns by what the header of this file calls them; "" for one that is not read.
    """

    def __init__(self, fields: Sequence[Column], renamed: Mapping[str, str] | None = None) -> None:
        self._given = fields
        self.by_name: Mapping[str, Column] = {column.name: column for column in fields}
        rest = [name for name in self.by_name if name not in _FIRST and ":" not in name]
        self.names: Sequence[str] = (*_FIRST, *rest)
        self._renamed = {fold_name(cell): name for cell, name in (renamed or {}).items()}
        self._spelled = {fold_name(name): name for name in (*self.names, *self.by_name, *_UNLISTED)}

    def rename(self, renamed: Mapping[str, str]) -> Columns:
        """Return the columns of a file whose header has names of its own. Raises FileProblem for an unknown column."""
        for cell, name in renamed.items():
            if name and not self.find(name):
                message = f"{cell!r} cannot be the column {name!r}: there is no such column"
                raise FileProblem(message + self._suggest(name))
        return Columns(self._given, {cell: name and self.find(name) for cell, name in renamed.items()})

    def find(self, cell: str) -> str:
        """Return the column that a cell of a header names; "" for none, and for one that is not read."""
        folded = fold_name(cell)
        return self._renamed.get(folded, self._spelled.get(folded, ""))

    def describe_ignored(self, cells: Sequence[str]) -> list[str]:
        """Return a note on the columns of a header that are not read, if its author said so of any."""
        ignored = [cell for cell in cells if self._renamed.get(fold_name(cell)) == ""]
        return [f"These columns are not read: {', '.join(ignored)}."] if ignored else []

    def match_header(self, cells: Sequence[str]) -> Sequence[str]:
        """Return the columns of a header as it spells them, without the unnamed ones at its end.

        Raises FileProblem with an issue for each column that is unknown, unnamed, or there twice.
        """
        given = [cell.strip() for cell in cells]
        while given and not given[-1]:
            given.pop()
        if issues := list(self._find_issues(given)):
            named = [f"Column {issue['path'] or '?'}: {issue['message']}" for issue in issues[:MAX_NAMED]]
            more = f" And {len(issues) - MAX_NAMED} more." if len(issues) > MAX_NAMED else ""
            raise FileProblem(" ".join(named) + more, issues=issues)
        return cells[: len(given)]

    def count_known(self, cells: Sequence[str]) -> int:
        """Return how many of the cells name a column."""
        return sum(self._is_known(cell) for cell in cells)

    def _is_known(self, cell: str) -> bool:
        return fold_name(cell) in self._renamed or fold_name(cell) in self._spelled

    def _suggest(self, cell: str) -> str:
        near = find_near(cell.casefold(), (*self.names, *_UNLISTED))
        return f"; did you mean `{near}`?" if near else "."

    def _find_issues(self, given: Sequence[str]) -> Iterator[dict[str, Any]]:
        if not self.count_known(given):
            yield build_issue(
                (), "The first line must hold the names of the columns; it has none.", "missing"
            )
            return
        first: dict[str, int] = {}
        for number, cell in enumerate(given, 1):
            name = self.find(cell)
            if not cell:
                yield build_issue((), f"Column {number} has no name.", "missing")
            elif not self._is_known(cell):
                message = f"There is no such column{self._suggest(cell)}"
                yield build_issue((cell,), message, "extra_forbidden", cell)
            elif name and first.setdefault(name, number) != number:
                message = f"Columns {first[name]} and {number} have the same name."
                yield build_issue((cell,), message, "equal_columns", cell)


def build_columns(body: type[BaseModel]) -> Columns:
    """Return the columns for a body of POST /posts: its fields, and those of its sections as ``section.field``."""
    schema = body.model_json_schema()
    found = _walk(schema["properties"], (), schema.get("$defs", {}))
    special = (
        Column(MEDIA_TYPE, ("media", "type"), Kind.WORD),
        Column(MEDIA_URLS, ("media", "urls"), Kind.LIST),
        Column(ACCOUNTS, ("accounts",), Kind.LIST),
        *(column for platform in Platform for column in _build_own_columns(platform)),
    )
    return Columns([*special, *(column for column in found if column.name not in (ACCOUNTS, SCHEDULED_AT))])


def _build_own_columns(platform: Platform) -> Iterator[Column]:
    """Yield the columns of what a row's accounts on a platform have of their own; no template has them."""
    fields = {"caption": Kind.TEXT, "first_comment": Kind.TEXT, SCHEDULED_AT: Kind.WORD}
    for name, kind in fields.items():
        yield Column(f"{name}:{platform}", (BY_PLATFORM, platform, name), kind)
    yield Column(f"{MEDIA_TYPE}:{platform}", (BY_PLATFORM, platform, "media", "type"), Kind.WORD)
    yield Column(f"{MEDIA_URLS}:{platform}", (BY_PLATFORM, platform, "media", "urls"), Kind.LIST)


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
