"""Reads the rows of a file of posts, from any position, as `convert.convert_file` wrote it: plain lines of UTF-8."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from pipeline.imports.cells import RowReader
from pipeline.imports.columns import Columns
from pipeline.imports.csv_rows import read_csv
from pipeline.imports.formats import FileProblem, Format, ImportRow, ReadLimits, build_too_large
from pipeline.imports.lines import Place, build_too_long, read_lines
from pipeline.imports.ndjson_rows import read_ndjson

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
