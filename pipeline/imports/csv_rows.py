"""Reads CSV, separated by commas, semicolons or tabs. A row that cannot be read does not end the file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from pipeline.domain.validation_issue import build_issue
from pipeline.imports.cells import RowReader
from pipeline.imports.columns import Columns
from pipeline.imports.formats import FileProblem, ImportRow, ReadLimits
from pipeline.imports.lines import Place, build_too_long

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
