"""Reads the first visible sheet of an XLSX or ODS file, in the probe process: one line of JSON for each row.

A directory of an archive can lie about sizes, so each member is inflated in bounded pieces before the library sees it.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import IO, Any

from pipeline.media.probe.containers import Malformed
from pipeline.media.probe.video_index import OverLimit, check_limit

_PIECE = 64 * 1024
_SMALL = 1024 * 1024
"""Inflated bytes that need no ratio."""
_MAX_MEMBERS = 5000
_LINES = 128 * 1024
"""Bytes of lines that are sent at once, about."""
_LOCAL_HEADER = 30  # bytes before the name (APPNOTE.TXT 6.3.10, section 4.3.7)
_ROUNDED = 1e15
"""From here on a spreadsheet has rounded a whole number: it keeps 15 digits."""


@cache
def load_calamine() -> Any:
    """Import the library, before the process gives up its rights."""
    import encodings.cp437  # noqa: F401, PLC0415  zipfile decodes members' names with it

    import python_calamine  # noqa: PLC0415

    return python_calamine


def read_sheet(
    job: Mapping[str, Any], file: IO[bytes], send: Callable[[bytes], None], calamine: Any
) -> dict[str, Any]:
    """Send the rows that are not blank, as ``[row, "cell", …]``. Return ``error`` if the sheet cannot be read.

    Blank cells at the end of a row are left out.
    """
    data = file.read(job["size"])
    _check_archive(data, job)
    try:
        with calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            del data
            visible = [
                number
                for number, sheet in enumerate(book.sheets_metadata)
                if sheet.visible == calamine.SheetVisibleEnum.Visible
                and sheet.typ == calamine.SheetTypeEnum.WorkSheet
            ]
            if not visible:
                return {"error": "no_visible_sheet"}
            _send_rows(book.get_sheet_by_index(visible[0]).iter_rows(), job, send)
    except calamine.PasswordError:
        return {"error": "encrypted"}
    except (calamine.CalamineError, OSError) as error:
        raise Malformed(str(error)) from None
    return {}


def _send_rows(rows: Any, job: Mapping[str, Any], send: Callable[[bytes], None]) -> None:
    lines, size, count = [], 0, -1  # the header is not counted
    for number, cells in enumerate(rows, 1):
        texts = [_to_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            continue
        count += 1
        check_limit("too_many_rows", count, job["max_rows"])
        line = (
            json.dumps([number, *texts], ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
            + b"\n"
        )
        lines.append(line)
        size += len(line)
        if size > _LINES:
            send(b"".join(lines))
            lines, size = [], 0
    send(b"".join(lines))


def _to_text(cell: Any) -> str:
    """Return a cell as CSV would have it: whole numbers without a fraction, times in ISO 8601, rounded to a second."""
    kind = type(cell)
    if kind is str:
        return cell  # type: ignore[no-any-return]
    if kind is float:
        return str(int(cell)) if cell.is_integer() and abs(cell) < _ROUNDED else repr(cell)
    if kind is bool:
        return "TRUE" if cell else "FALSE"
    if kind is datetime:
        return (cell + timedelta(microseconds=500_000)).replace(microsecond=0).isoformat(" ")  # type: ignore[no-any-return]
    return str(cell)


def _check_archive(data: bytes, job: Mapping[str, Any]) -> None:
    """Inflate every member, and count. Raises OverLimit over the ratio or size, Malformed unless it is an archive."""
    view = memoryview(data)
    most = min(job["max_bytes"], max(_SMALL, job["max_ratio"] * len(data)))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members: Sequence[zipfile.ZipInfo] = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError, EOFError) as error:
        raise Malformed(str(error)) from None
    check_limit("too_many_members", len(members), _MAX_MEMBERS)
    total = 0
    for member in members:
        if member.flag_bits & 1:
            raise OverLimit("encrypted", 0, 0)
        header = view[member.header_offset : member.header_offset + _LOCAL_HEADER]
        if len(header) < _LOCAL_HEADER:
            raise Malformed("a member lies outside of the archive")
        start = (
            member.header_offset
            + _LOCAL_HEADER
            + sum(int.from_bytes(header[n : n + 2], "little") for n in (26, 28))
        )
        stored = view[start : start + member.compress_size]
        if member.compress_type == zipfile.ZIP_DEFLATED:
            total += _inflate(stored, most - total)
        elif member.compress_type == zipfile.ZIP_STORED:
            total += len(stored)
        else:
            raise Malformed("a member is compressed in a way that spreadsheets are not")
        check_limit("inflates_too_far", total, most)


def _inflate(stored: memoryview, most: int) -> int:
    """Return the bytes that a member inflates to, or a number over ``most``."""
    inflater, total = zlib.decompressobj(wbits=-15), 0
    try:
        for start in range(0, len(stored), _PIECE):
            data: bytes | memoryview = stored[start : start + _PIECE]
            while piece := inflater.decompress(data, _PIECE):
                total += len(piece)
                if total > most:
                    return total
                data = inflater.unconsumed_tail
            if inflater.eof:
                break
    except zlib.error as error:
        raise Malformed(str(error)) from None
    return total
