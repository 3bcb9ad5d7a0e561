"""Reads the rows of a file of posts, from any position, as `convert.convert_file` wrote it: plain lines of UTF-8.

Reads NDJSON: on each line the body of a POST /posts, as strictly as one that is posted.

Reads CSV, separated by commas, semicolons or tabs. A row that cannot be read does not end the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.domain import strict_json
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.cells import RowReader, parse_post_id
from pipeline.imports.columns import (
    ERROR,
    POST_ID,
    SCHEDULED_AT,
    STATUS,
    Columns,
    FileProblem,
    Format,
    ImportRow,
    ReadLimits,
    build_too_large,
)
from pipeline.imports.lines import Place, build_too_long, read_lines
from pipeline.imports.local_time import NO_TIME, NOW, InvalidCell

_PIECE = 64 * 1024
_DELIMITERS: Sequence[str] = (",", ";", "\t")
_NAMED = re.compile(rb"sep=(.)\r?\n", re.DOTALL)
_OPEN_QUOTE = (
    "A quote opens a cell of this row and does not close it. A quote inside a quoted cell is doubled."
)
_STRAY_QUOTE = (
    "A quote closes a cell of this row, and more text follows. A quote inside a quoted cell is doubled."
)
_NOT_UTF8 = "It holds bytes that are not UTF-8."


class _TooLong(Exception):
    """A row has more bytes than it may."""


class _RowLines:
    """Feeds physical lines to a csv reader, bounded for each row, and knows where the row began."""

    def __init__(self, file: BinaryIO, place: Place, most: int) -> None:
        self._file, self._place, self._most = file, place, most
        self.start = place.offset
        self.size = 0
        self.is_utf8 = True

    def begin_row(self) -> None:
        """Start counting for the next row."""
        self.start, self.size, self.is_utf8 = self._place.offset, 0, True
        self._place.first_line = self._place.line

    def read(self) -> Iterator[str]:
        """Yield lines. Raises _TooLong."""
        place, most, readline = self._place, self._most, self._file.readline
        while raw := readline(most + 2):
            place.offset += len(raw)
            place.line += 1
            self.size += len(raw)
            if self.size > most and self.size - raw.endswith(b"\n") - raw.endswith(b"\r\n") > most:
                raise _TooLong
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                text, self.is_utf8 = raw.decode(errors="replace"), False
            yield text

    def skip_row(self, delimiter: str) -> bool:
        """Go behind a row that cannot be read: to the end of its last quoted cell if that is closed, else of its line.

        Return False if it is not closed. A quote is closed where a delimiter or the end of a line follows; one that
        opens another row's cell is followed by its text.
        """
        place, is_open, end, closing = self._place, False, None, _build_closing(delimiter)
        place.offset, place.line = self.start, place.first_line
        self._file.seek(self.start)
        line_head = b""
        while piece := self._file.readline(_PIECE):
            place.offset += len(piece)
            line_head = line_head or piece
            is_open ^= bool(piece.count(b'"') % 2)
            if not piece.endswith(b"\n") and len(piece) == _PIECE:
                continue
            place.line += 1
            if end is not None and not is_open and not closing.match(line_head):
                break
            end = end or (place.offset, place.line)
            if not is_open:
                return True
            line_head = b""
        place.offset, place.line = end or (place.offset, place.line)
        self._file.seek(place.offset)
        return False


def _build_closing(delimiter: str) -> re.Pattern[bytes]:
    return re.compile(rb'(?:[^"]|"")*"(?:[\r\n]|$|%b)' % re.escape(delimiter.encode()))


def read_csv(
    file: BinaryIO, place: Place, limits: ReadLimits, columns: Columns, time_zone: str | None
) -> Iterator[ImportRow]:
    """Yield the rows below the header. Blank rows, and rows of blank cells, are left out."""
    names, delimiter, end = _read_header(file, limits, columns)
    if not place.offset:
        place.offset, place.line = end.offset, end.line
    file.seek(place.offset)
    if limits.max_row_bytes > csv.field_size_limit():
        csv.field_size_limit(limits.max_row_bytes)
    reader = RowReader(columns, names, time_zone, comma=delimiter == ";")
    lines = _RowLines(file, place, limits.max_row_bytes)
    rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            texts = next(rows)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            place.number += 1
            is_closed = lines.skip_row(delimiter)
            yield place.reject(_explain(error, limits, is_closed=is_closed), reader.name_cells())
            rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
            continue
        if not any(texts):
            place.count_blank(limits)
            continue
        place.number += 1
        cells, body, post_id, issues = reader.read(texts)
        if not lines.is_utf8:
            issues.append(build_issue((), _NOT_UTF8, "string_unicode"))
        yield place.build_row(cells, body, post_id, issues)


def _read_header(file: BinaryIO, limits: ReadLimits, columns: Columns) -> tuple[Sequence[str], str, Place]:
    """Return the columns of the header, the delimiter that gives most of them, and the place behind the header."""
    start, delimiters = Place(0, 1, 0), _DELIMITERS
    if named := _NAMED.fullmatch(file.readline(16)):
        start, delimiters = Place(file.tell(), 2, 0), (named[1].decode("latin-1"),)
    best: tuple[int, Sequence[str], str, Place] | None = None
    problem: Exception = FileProblem("The file has no row.")
    for delimiter in delimiters:
        place = replace(start)
        file.seek(place.offset)
        rows = csv.reader(
            _RowLines(file, place, limits.max_row_bytes).read(), delimiter=delimiter, strict=True
        )
        try:
            cells = next((row for row in rows if any(row)), None)
        except (csv.Error, _TooLong) as error:
            problem = FileProblem(f"The header cannot be read. {_explain(error, limits)['message']}")
            continue
        if cells is not None and (best is None or columns.count_known(cells) > best[0]):
            best = (columns.count_known(cells), cells, delimiter, place)
    if best is None:
        raise problem
    return columns.match_header(best[1]), best[2], best[3]


def _explain(error: Exception, limits: ReadLimits, *, is_closed: bool = True) -> dict[str, Any]:
    """Return the issue of a row that cannot be read."""
    if isinstance(error, _TooLong) and is_closed:
        return build_too_long(limits)
    if isinstance(error, _TooLong) or "end of data" in str(error):
        return build_issue((), _OPEN_QUOTE, "quote")
    if "expected after" in str(error):
        return build_issue((), _STRAY_QUOTE, "quote")
    return build_issue((), f"The row is not CSV: {error}.", "csv")


def read_ndjson(
    file: BinaryIO,
    place: Place,
    limits: ReadLimits,
    columns: Columns,  # noqa: ARG001  as every reader
    time_zone: str | None,  # noqa: ARG001
) -> Iterator[ImportRow]:
    """Yield the rows. An account may be ``{"account": "platform:username"}``; ``post_id`` is of an export."""
    if not place.offset and file.read(64).lstrip().startswith(b"["):
        raise FileProblem("The file is a JSON array. Write one object on each line, without brackets around.")
    file.seek(place.offset)
    for raw, head in read_lines(file, place, limits):
        place.number += 1
        if raw is None:
            yield place.reject(build_too_long(limits), head.decode(errors="replace"))
            continue
        line = raw.rstrip(b"\r\n")
        try:
            body = strict_json.parse(line)
        except strict_json.InvalidJson as error:
            message = str(error).replace("The body", "The line").replace("line 1, column", "column")
            yield place.reject(build_issue((), message, "invalid_json"), line.decode(errors="replace"))
            continue
        issues = (
            []
            if isinstance(body, dict)
            else [build_issue((), "The line must be a JSON object.", "model_type")]
        )
        post_id = None if issues else _take_extras(body, issues)
        yield place.build_row(line.decode(), body, post_id, issues)


def _take_extras(body: dict[str, Any], issues: list[dict[str, Any]]) -> str | None:
    """Take the keys that only files have out of a body, and return the id of the post that it was exported from."""
    for name in (STATUS, ERROR):
        body.pop(name, None)
    instant = body.get(SCHEDULED_AT)
    if instant is None or instant == "":
        issues.append(
            build_issue((SCHEDULED_AT,), NO_TIME.replace(", or local_time and time_zone", ""), "missing")
        )
    elif isinstance(instant, str) and instant.strip().casefold() == NOW:
        del body[SCHEDULED_AT]
    try:
        return parse_post_id(body.pop(POST_ID, None))
    except InvalidCell as error:
        issues.append(error.build_issue(POST_ID))
        return None


Reader = Callable[[BinaryIO, Place, ReadLimits, Columns, str | None], Iterator[ImportRow]]


def open_rows(
    path: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: ReadLimits,
    *,
    columns: Columns,
    time_zone: str | None = None,
    position: int = 0,
    number: int = 0,
) -> Iterator[ImportRow]:
    """Yield the rows of a converted file, each with its body or its issues; a bad row ends nothing.

    ``time_zone``: of local times in rows without one. ``position, number``: of the last row that was read before.
    Raises FileProblem for a header that cannot be used, a file without a row, and more rows than ``limits`` has.
    """
    most = limits.count_rows(format)
    with path.open("rb") as file:
        for row in _READERS[format](file, Place.unpack(position, number), limits, columns, time_zone):
            number = row.number
            if number > most:
                raise build_too_large(f"The file has more than {most:,} rows, which is the maximum.")
            yield row
    if not number:
        raise FileProblem("The file has no row.")


def _read_sheet(
    file: BinaryIO, place: Place, limits: ReadLimits, columns: Columns, time_zone: str | None
) -> Iterator[ImportRow]:
    """Yield the rows of a converted spreadsheet, whose lines are ``[row, "cell", …]``."""
    _, header = _parse_cells(file.readline(limits.max_row_bytes + 1))
    names = columns.match_header(header)
    reader = RowReader(columns, names, time_zone)
    place.begin_after_header(file)
    for raw, _ in read_lines(file, place, limits):
        place.number += 1
        if raw is None:
            yield place.reject(build_too_long(limits), reader.name_cells())
        else:
            line, texts = _parse_cells(raw)
            blanks = [""] * (len(names) - len(texts))
            cells, body, post_id, issues = reader.read(texts + blanks)
            yield place.build_row(cells, body, post_id, issues, line=line)


def _parse_cells(raw: bytes) -> tuple[int, list[str]]:
    """Return the row and the cells of a line. The file may have taken over the process that wrote it."""
    try:
        line, *texts = json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        raise FileProblem("The header has too many columns, or the spreadsheet is damaged.") from None
    if type(line) is not int or any(type(text) is not str for text in texts):
        raise FileProblem("The spreadsheet is damaged.")
    return line, texts


_READERS: Mapping[Format, Reader] = {
    Format.NDJSON: read_ndjson,
    Format.CSV: read_csv,
    Format.XLSX: _read_sheet,
    Format.ODS: _read_sheet,
}
