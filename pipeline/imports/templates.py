"""Writes a template: a file of posts to fill in, in any format that is read but ODS, with example rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import xlsxwriter

from pipeline.imports.cells import format_row
from pipeline.imports.columns import Columns
from pipeline.imports.formats import Format, build_unsupported

EXAMPLE_URL = "https://example.com/video.mp4"
_CREATED = datetime(2026, 1, 1)  # noqa: DTZ001  XLSX has no zones; the same columns make the same file
_WIDTH = 24  # of a column, in characters


def write_template(
    target: BinaryIO,
    format: Format,  # noqa: A002  the interface's word
    columns: Columns,
    *,
    rows: int,
    accounts: Sequence[str],
    start: datetime,
    every: timedelta = timedelta(days=1),
    media_url: str = EXAMPLE_URL,
) -> None:
    """Write a header and ``rows`` posts, each of a video to one of ``accounts`` (ids or ``platform:username``).

    The accounts take turns: the first posts are due at ``start``, which has an offset, those of the next turn ``every``
    later. Raises FileProblem for ODS.
    """
    bodies = _build_bodies(rows, accounts, start, every, media_url)
    if format is Format.NDJSON:
        target.writelines(json.dumps(body, ensure_ascii=False).encode() + b"\n" for body in bodies)
    elif format is Format.CSV:
        write_csv(target, columns.names, (format_row(columns, columns.names, body) for body in bodies))
    elif format is Format.XLSX:
        _write_xlsx(target, columns.names, (format_row(columns, columns.names, body) for body in bodies))
    else:
        raise build_unsupported(f"There is no template in {format}: open the one in XLSX.")


def _build_bodies(
    rows: int, accounts: Sequence[str], start: datetime, every: timedelta, media_url: str
) -> Iterator[Mapping[str, Any]]:
    names = accounts or ["tiktok:username"]
    for number in range(rows):
        name = names[number % len(names)]
        yield {
            "caption": f"Post {number + 1}",
            "media": {"type": "video", "url": media_url},
            "accounts": [{"account": name} if ":" in name else {"id": name}],
            "scheduled_at": (start + number // len(names) * every).isoformat(timespec="seconds"),
            "external_id": f"{start:%Y%m%d-%H%M%S}-{number + 1}",
        }


def write_csv(target: BinaryIO, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write CSV as spreadsheets expect it: UTF-8 with a byte order mark, lines that end with CR LF."""
    text = io.TextIOWrapper(target, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    text.detach()


def _write_xlsx(target: BinaryIO, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write every cell as text, in a column formatted as text: ids keep their digits, and nothing is a formula."""
    with xlsxwriter.Workbook(target, {"constant_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        sheet, bold = book.add_worksheet("posts"), book.add_format({"bold": True})
        sheet.set_column(0, len(names) - 1, _WIDTH, book.add_format({"num_format": "@"}))
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(names):
            sheet.write_string(0, column, name, bold)
        for number, cells in enumerate(rows, 1):
            for column, cell in enumerate(cells):
                if cell:
                    sheet.write_string(number, column, cell)
