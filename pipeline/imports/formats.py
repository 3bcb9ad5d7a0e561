"""The formats of import files, the limits of reading one, and what reading yields: rows, or a problem of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Any

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
class ReadLimits:
    """The limits of a file."""

    max_bytes: int = 2 * 1024**3
    """Maximum bytes of the file as it arrives, and of its text once it is inflated."""
    max_rows: int = 1_000_000
    max_sheet_rows: int = 200_000
    """Rows of a spreadsheet."""
    max_row_bytes: int = 64 * 1024
    max_ratio: int = 200
    """Bytes that one compressed byte may become."""

    def count_rows(self, format: Format) -> int:  # noqa: A002  the interface's word
        """Return the maximum number of rows in this format."""
        return self.max_sheet_rows if format.is_spreadsheet else self.max_rows


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


@dataclass
class FileProblem(Exception):
    """Why no row of a file can be used. ``status`` and ``code`` are those of the HTTP contract."""

    message: str
    status: int = 422
    code: str = "invalid_payload"
    issues: Sequence[Mapping[str, Any]] = field(default=())

    def __str__(self) -> str:
        return self.message


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
