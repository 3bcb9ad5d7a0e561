"""Stage the rows of a file of posts, one line of JSON for each, and read them from any position.

A staged row is ``[line, "cell", …]``, where ``line`` is its first physical line in the file, or its row in the sheet.
The only cell of NDJSON is the line itself. A header comes first, except of NDJSON: the order of the dates, which is
known and written last, the delimiter, and the columns. A row that cannot be read is staged with its issue at the end,
and does not end the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from config.groups import Imports
from pipeline.domain import strict_json
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.cells import ReadCells, RowReader, take_extras
from pipeline.imports.columns import (
    Cells,
    Columns,
    FileProblem,
    Format,
    ImportRow,
    build_too_large,
)
from pipeline.imports.local_time import DateSurvey

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
_DAMAGED = "The header has too many columns, or the spreadsheet is damaged."

Issue = dict[str, Any]
StagedRow = Sequence[int | str | Issue]
_UNKNOWN = "---"
"""Where the order of the dates is written, which has as many letters."""


class Staged(NamedTuple):
    """What is known of a file once its rows are staged: how many, and what to tell its author."""

    rows: int
    notes: Sequence[str]


def stage_rows(
    source: Path,
    target: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: Imports,
    columns: Columns,
    on_row: Callable[[], None] = lambda: None,
    dates: str | None = None,
) -> Staged:
    """Write the rows of ``source`` to ``target``: UTF-8 text, or the lines that a probe process made of a spreadsheet.

    ``on_row`` is called between two rows. ``dates``: their order; None: found out from all of them. Raises FileProblem
    for a header or dates that cannot be used, and over ``limits``.
    """
    count, notes = 0, []
    with source.open("rb") as file, target.open("wb") as sink:
        rows = iter(_STAGERS[format](file, limits, columns))
        survey = None
        if format is not Format.NDJSON:
            delimiter, *header = map(str, next(rows))
            _write_row(sink, (_UNKNOWN, delimiter, *header))
            survey, notes = DateSurvey(columns, header), columns.describe_ignored(header)
        for row in rows:
            on_row()
            _write_row(sink, row)
            if survey is not None:
                survey.add(row)
            count += 1
        if survey is not None and (found := dates or survey.choose()):
            sink.seek(len('["'))
            sink.write(found.encode())
    return Staged(count, notes)


def _write_row(sink: BinaryIO, row: StagedRow) -> None:
    sink.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


class _Blanks:
    """Counts blank rows. They are no rows, and reading on through billions of them would be no use."""

    def __init__(self, limits: Imports) -> None:
        self._most, self._count = 2 * limits.max_rows, 0

    def add(self) -> None:
        """Count one. Raises FileProblem over the limit."""
        self._count += 1
        if self._count > self._most:
            raise build_too_large(f"The file has more than {self._most:,} blank rows.")


def _read_lines(file: BinaryIO, limits: Imports) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Yield number, bytes and first bytes of each line that is not blank; None for one over the limit of a row.

    No more of the line is held than a row may have.
    """
    most, line, blanks = limits.max_row_bytes, 0, _Blanks(limits)
    while raw := file.readline(most + 2):
        line, head, is_long = line + 1, raw[:1000], len(raw.rstrip(b"\r\n")) > most
        while not raw.endswith(b"\n") and (rest := file.readline(most + 2)):
            raw, is_long = rest, True
        if is_long:
            yield line, None, head
        elif raw.strip():
            yield line, raw, head
        else:
            blanks.add()


def _build_too_long(limits: Imports) -> Issue:
    return build_issue(
        (), f"The row has more than {limits.max_row_bytes:,} bytes, which is the maximum.", "too_long"
    )


# --- NDJSON ----------------------------------------------------------------------------------------------------------


def _stage_ndjson(file: BinaryIO, limits: Imports, _columns: Columns) -> Iterator[StagedRow]:
    if file.read(64).lstrip().startswith(b"["):
        raise FileProblem("The file is a JSON array. Write one object on each line, without brackets around.")
    file.seek(0)
    for line, raw, head in _read_lines(file, limits):
        if raw is None:
            yield line, head.decode(errors="replace"), _build_too_long(limits)
            continue
        text = raw.rstrip(b"\r\n")
        try:
            yield line, text.decode()
        except UnicodeDecodeError:
            yield line, text.decode(errors="replace"), *_parse_body(text)[1]


def _parse_body(line: bytes) -> tuple[dict[str, Any], list[Issue]]:
    """Return the body of a post, as strictly as one that is posted, or the issue of the line."""
    try:
        body = strict_json.parse(line)
    except strict_json.InvalidJson as error:
        message = str(error).replace("The body", "The line").replace("line 1, column", "column")
        return {}, [build_issue((), message, "invalid_json")]
    if not isinstance(body, dict):
        return {}, [build_issue((), "The line must be a JSON object.", "model_type")]
    return body, []


# --- CSV -------------------------------------------------------------------------------------------------------------


class _TooLong(Exception):
    """A row has more bytes than it may."""


class _RowLines:
    """Feeds physical lines to a csv reader, bounded for each row, and knows where the row began."""

    def __init__(self, file: BinaryIO, most: int, offset: int, line: int) -> None:
        self._file, self._most = file, most
        self.offset, self.line = offset, line
        file.seek(offset)
        self.begin_row()

    def begin_row(self) -> None:
        """Start counting for the next row."""
        self.start, self.first_line, self.size, self.is_utf8 = self.offset, self.line, 0, True

    def read(self) -> Iterator[str]:
        """Yield lines. Raises _TooLong."""
        most, readline = self._most, self._file.readline
        while raw := readline(most + 2):
            self.offset += len(raw)
            self.line += 1
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
        is_open, end, closing = False, None, _build_closing(delimiter)
        self.offset, self.line = self.start, self.first_line
        self._file.seek(self.start)
        line_head = b""
        while piece := self._file.readline(_PIECE):
            self.offset += len(piece)
            line_head = line_head or piece
            is_open ^= bool(piece.count(b'"') % 2)
            if not piece.endswith(b"\n") and len(piece) == _PIECE:
                continue
            self.line += 1
            if end is not None and not is_open and not closing.match(line_head):
                break
            end = end or (self.offset, self.line)
            if not is_open:
                return True
            line_head = b""
        self.offset, self.line = end or (self.offset, self.line)
        self._file.seek(self.offset)
        return False


def _build_closing(delimiter: str) -> re.Pattern[bytes]:
    return re.compile(rb'(?:[^"]|"")*"(?:[\r\n]|$|%b)' % re.escape(delimiter.encode()))


def _stage_csv(file: BinaryIO, limits: Imports, columns: Columns) -> Iterator[StagedRow]:
    """Yield the delimiter with the columns, and the rows below the header without those of blank cells."""
    if limits.max_row_bytes > csv.field_size_limit():
        csv.field_size_limit(limits.max_row_bytes)
    names, delimiter, offset, line = _find_header(file, limits, columns)
    yield delimiter, *names
    blanks, lines = _Blanks(limits), _RowLines(file, limits.max_row_bytes, offset, line)
    rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            texts = next(rows)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            is_closed = lines.skip_row(delimiter)
            yield lines.first_line, _explain(error, limits, is_closed=is_closed)
            rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
            continue
        if not any(texts):
            blanks.add()
        elif lines.is_utf8:
            yield lines.first_line, *texts
        else:
            yield lines.first_line, *texts, build_issue((), _NOT_UTF8, "string_unicode")


def _find_header(file: BinaryIO, limits: Imports, columns: Columns) -> tuple[Sequence[str], str, int, int]:
    """Return the columns of the header, the delimiter that gives most of them, and offset and line of what follows."""
    offset, line, delimiters = 0, 1, _DELIMITERS
    if named := _NAMED.fullmatch(file.readline(16)):
        offset, line, delimiters = file.tell(), 2, (named[1].decode("latin-1"),)
    best: tuple[int, Sequence[str], str, int, int] | None = None
    problem: Exception = FileProblem("The file has no row.")
    for delimiter in delimiters:
        lines = _RowLines(file, limits.max_row_bytes, offset, line)
        rows = csv.reader(lines.read(), delimiter=delimiter, strict=True)
        try:
            cells = next((row for row in rows if any(row)), None)
        except (csv.Error, _TooLong) as error:
            problem = FileProblem(f"The header cannot be read. {_explain(error, limits)['message']}")
            continue
        if cells is not None and (best is None or columns.count_known(cells) > best[0]):
            best = (columns.count_known(cells), cells, delimiter, lines.offset, lines.line)
    if best is None:
        raise problem
    return columns.match_header(best[1]), *best[2:]


def _explain(error: Exception, limits: Imports, *, is_closed: bool = True) -> Issue:
    """Return the issue of a row that cannot be read."""
    if isinstance(error, _TooLong) and is_closed:
        return _build_too_long(limits)
    if isinstance(error, _TooLong) or "end of data" in str(error):
        return build_issue((), _OPEN_QUOTE, "quote")
    if "expected after" in str(error):
        return build_issue((), _STRAY_QUOTE, "quote")
    return build_issue((), f"The row is not CSV: {error}.", "csv")


# --- spreadsheets ----------------------------------------------------------------------------------------------------


def _stage_sheet(file: BinaryIO, limits: Imports, columns: Columns) -> Iterator[StagedRow]:
    """Yield the rows, each as wide as the header at least: blank cells at the end of a row were left out."""
    row, *header = _parse_cells(file.readline(limits.max_row_bytes + 1))
    names = columns.match_header(header)
    yield row, *names
    for line, raw, _ in _read_lines(file, limits):
        if raw is None:
            yield line + 1, _build_too_long(limits)
        else:
            row, *texts = _parse_cells(raw)
            yield row, *texts, *[""] * (len(names) - len(texts))


def _parse_cells(raw: bytes) -> tuple[int, *tuple[str, ...]]:
    """Return the row and the cells of a line. The file may have taken over the process that wrote it."""
    try:
        row, *texts = json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        raise FileProblem(_DAMAGED) from None
    if type(row) is not int or any(type(text) is not str for text in texts):
        raise FileProblem("The spreadsheet is damaged.")
    return row, *texts


_STAGERS: Mapping[Format, Callable[[BinaryIO, Imports, Columns], Iterator[StagedRow]]] = {
    Format.NDJSON: _stage_ndjson,
    Format.CSV: _stage_csv,
    Format.XLSX: _stage_sheet,
    Format.ODS: _stage_sheet,
}


# --- reading ---------------------------------------------------------------------------------------------------------


def open_rows(
    path: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: Imports,
    *,
    columns: Columns,
    time_zone: str | None = None,
    blank: str = "",
    position: int = 0,
    number: int = 0,
) -> Iterator[ImportRow]:
    """Yield the rows of a staged file, each with its body or its issues; a bad row ends nothing.

    ``time_zone``: of local times in rows without one. ``blank``: the time of rows without any. ``position, number``: of
    the last row that was read before.
    Raises FileProblem for a file without a row, and for more rows than ``limits`` has.
    """
    most = limits.max_sheet_rows if format.is_spreadsheet else limits.max_rows
    with path.open("rb") as file:
        read, unread = _read_json, None
        if format is not Format.NDJSON:
            dates, delimiter, *names = json.loads(file.readline())
            dates = "" if dates == _UNKNOWN else dates
            reader = RowReader(columns, names, time_zone, dates, comma=delimiter == ";", blank=blank)
            read, unread = reader.read, reader.name_cells()
        position = file.seek(position or file.tell())
        while raw := file.readline():
            number, position = number + 1, position + len(raw)
            if number > most:
                raise build_too_large(f"The file has more than {most:,} rows, which is the maximum.")
            yield _build_row(json.loads(raw), read, unread, number, position)
    if not number:
        raise FileProblem("The file has no row.")


def read_cells(columns: Columns, cells: Mapping[str, str], time_zone: str) -> ReadCells:
    """Return what cells hold that are in no file, by their columns."""
    return RowReader(columns, [*cells], time_zone).read([*cells.values()])


Read = Callable[[Sequence[str]], tuple[Cells | str, dict[str, Any], str | None, list[Issue]]]


def _build_row(staged: list[Any], read: Read, unread: Cells | None, number: int, position: int) -> ImportRow:
    """Return a row; ``unread``: the cells of one that cannot be read, None for NDJSON."""
    line, *texts = staged
    found = [texts.pop()] if texts and isinstance(texts[-1], dict) else []
    if found and (unread is None or not texts):
        source, body, post_id, issues = unread or texts[0], dict[str, Any](), None, found
    else:
        source, body, post_id, issues = read(texts)
        issues += found
    return ImportRow(
        number=number,
        line=line,
        body=None if issues else body,
        issues=issues,
        source=source,
        next_position=position,
        post_id=post_id,
    )


def _read_json(texts: Sequence[str]) -> tuple[Cells | str, dict[str, Any], str | None, list[Issue]]:
    """Read a line. An account may be ``{"account": "platform:username"}``; ``post_id`` is of an export."""
    body, issues = _parse_body(texts[0].encode())
    return texts[0], body, None if issues else take_extras(body, issues), issues
