"""Makes spreadsheets as programs and attackers make them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import xlsxwriter

DATE = "dd.mm.yyyy hh:mm"


def build_xlsx(rows: Sequence[Sequence[Any]], hidden_first: bool = False) -> bytes:
    """Return a workbook; a datetime is a date cell, a tuple (formula, cached value) a formula."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_urls": False})
    sheets = [book.add_worksheet(name) for name in (["hidden", "posts"] if hidden_first else ["posts"])]
    sheet = sheets[-1]
    sheet.activate()
    for hidden in sheets[:-1]:
        hidden.write_string(0, 0, "not a column")
        hidden.hide()
    date = book.add_format({"num_format": DATE})
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if isinstance(cell, tuple):
                sheet.write_formula(row, column, cell[0], None, cell[1])
            elif hasattr(cell, "year"):
                sheet.write_datetime(row, column, cell, date)
            else:
                sheet.write(row, column, cell)
    book.close()
    return buffer.getvalue()


_ODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 office:version="1.3"><office:body><office:spreadsheet><table:table table:name="posts">{rows}</table:table>
</office:spreadsheet></office:body></office:document-content>"""
_MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry
 manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>"""


def build_ods(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return an OpenDocument spreadsheet of texts, numbers and booleans."""
    lines = "".join(f"<table:table-row>{''.join(map(_ods_cell, cells))}</table:table-row>" for cells in rows)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "mimetype", "application/vnd.oasis.opendocument.spreadsheet", compress_type=zipfile.ZIP_STORED
        )
        archive.writestr("content.xml", _ODS.format(rows=lines))
        archive.writestr("META-INF/manifest.xml", _MANIFEST)
    return buffer.getvalue()


def _ods_cell(cell: Any) -> str:
    if isinstance(cell, bool):
        attributes = f'office:value-type="boolean" office:boolean-value="{str(cell).lower()}"'
    elif isinstance(cell, int | float):
        attributes = f'office:value-type="float" office:value="{cell}"'
    elif hasattr(cell, "year"):
        attributes = f'office:value-type="date" office:date-value="{cell.isoformat()}"'
    else:
        attributes = 'office:value-type="string"'
    return f"<table:table-cell {attributes}><text:p>{escape(str(cell))}</text:p></table:table-cell>"


def build_bomb(size: int, declared: int | None = None) -> bytes:
    """Return a workbook with a member that inflates to ``size`` zeros, and says ``declared`` in both headers."""
    buffer = io.BytesIO(build_xlsx([["caption", "scheduled_at"], ["a", "now"]]))
    with (
        zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/media/a.bin", "w") as member,
    ):
        for _ in range(0, size, 1 << 20):
            member.write(bytes(1 << 20))
    data = bytearray(buffer.getvalue())
    if declared is not None:
        with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
            start = archive.getinfo("xl/media/a.bin").header_offset
        struct.pack_into("<I", data, start + 22, declared)
        struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, declared)
    return bytes(data)


def build_far_cell() -> bytes:
    """Return a workbook whose second cell is the last that a sheet can have: 17 billion cells lie between."""
    data = build_xlsx([["caption", "scheduled_at"], ["a", "now"]])
    return replace_text(data, "xl/worksheets/sheet1.xml", b'<c r="B2"', b'<c r="XFD1048576"')


def replace_text(data: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """Return the archive with a text of one member replaced."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy,
    ):
        for member in source.infolist():
            text = source.read(member)
            assert member.filename != name or old in text
            copy.writestr(member.filename, text.replace(old, new) if member.filename == name else text)
    return target.getvalue()
