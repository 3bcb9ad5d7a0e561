"""Converts a file of posts, as it was sent, to the staged rows that `read.open_rows` reads from any position.

Text becomes UTF-8, inflated and without a byte order mark. A spreadsheet becomes lines of JSON, ``[row, cell, …]`` with
every cell as text, made in a probe process: the archive is hostile until it is read. Then its rows are staged.

Inflates a file that was sent with a Content-Encoding, in bounded pieces, and checks its ratio while it does.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from config.groups import Imports
from pipeline.imports.columns import (
    HEAD_BYTES,
    Columns,
    FileProblem,
    Format,
    build_too_large,
    build_unsupported,
)
from pipeline.imports.encodings import Encoding, EncodingSurvey, transcode
from pipeline.imports.read import Staged, stage_rows
from pipeline.media.probe.probe import MAX_SHEET_BYTES, SheetJob, read_sheet
from pipeline.media.url_policy import Refused
from pipeline.runtime.interpreter import zstd

PIECE = 64 * 1024
"""Bytes that are read, and that are inflated, at once."""
SMALL = 1024 * 1024
"""Inflated bytes that need no ratio: little text may be all alike."""
READ_AHEAD = 8 * 1024
"""Compressed bytes that are read at once: so much may be inflated before its ratio is checked."""
_WINDOW: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MiB, the most that this content coding may use (RFC 9659, section 3)."""


class _SmallReads(BufferedIOBase):
    """Reads little of a file at once, so that its position says what has been inflated.

    ``gzip`` reads 128 KiB ahead since Python 3.12, and ``zstd`` as much.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int | None = None, /) -> bytes:
        """Return at most `READ_AHEAD` bytes."""
        return self._file.read(READ_AHEAD if size is None or size < 0 else min(size, READ_AHEAD))


def _open_zstd(file: BinaryIO) -> Any:
    return zstd.ZstdFile(_SmallReads(file), options=_WINDOW)


def _open_gzip(file: BinaryIO) -> BufferedIOBase:
    return gzip.GzipFile(fileobj=_SmallReads(file), mode="rb")


_OPENERS: Mapping[str, Callable[[BinaryIO], Any]] = {
    "identity": lambda file: file,
    "gzip": _open_gzip,
    "x-gzip": _open_gzip,
    "zstd": _open_zstd,
}


def read_pieces(path: Path, content_encoding: str | None, limits: Imports) -> Iterator[bytes]:
    """Yield the bytes of a file without its content encoding, in pieces of at most `PIECE`.

    Raises FileProblem: 413 over ``limits``, 415 for an encoding that is not read, 422 for damaged or cut-off data.
    """
    encoding = (content_encoding or "identity").strip().lower()
    if encoding not in _OPENERS:
        raise build_unsupported(f"Content-Encoding {encoding[:40]!r} is not read: send gzip, zstd or none.")
    produced = 0
    with path.open("rb") as file, _OPENERS[encoding](file) as plain:
        try:
            while piece := plain.read(PIECE):
                produced += len(piece)
                if produced > limits.max_bytes:
                    raise build_too_large(f"The file has more than {limits.max_bytes:,} bytes of text.")
                if plain is not file and produced > SMALL + limits.max_ratio * file.tell():
                    raise build_too_large(
                        f"The file inflates to more than {limits.max_ratio} times its size, which is the maximum."
                    )
                yield piece
        except EOFError:
            raise FileProblem(f"The file is cut off: its {encoding} data does not end.") from None
        except (gzip.BadGzipFile, zlib.error, zstd.ZstdError):
            raise FileProblem(f"The file is damaged: it cannot be inflated as {encoding}.") from None


def read_head(path: Path, content_encoding: str | None, limits: Imports) -> bytes:
    """Return the first `HEAD_BYTES` of a file without its content encoding. Raises as `read_pieces`."""
    return next(read_pieces(path, content_encoding, limits), b"")[:HEAD_BYTES]


def convert_file(
    source: Path,
    target: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: Imports,
    columns: Columns,
    *,
    content_encoding: str | None = None,
    encoding: str | None = None,
    dates: str | None = None,
    on_piece: Callable[[], None] = lambda: None,
) -> Staged:
    """Stage the rows of ``source`` in ``target``, and return how many there are and what to tell its author.

    ``encoding``: of the text, and ``dates``: their order; each is found out if its author has not said it. ``target``
    appears whole or not at all; a repetition, also at the same time, writes the same bytes again. A crash leaves files
    whose names begin with its own. ``on_piece`` is called between two pieces, and two rows. Raises FileProblem; for a
    spreadsheet also Unanswered (no free place to read it) and ProbeUnavailable (a fault of this installation): try
    again later.
    """
    part, text, inflated = (
        target.with_name(f"{target.name}.{uuid4().hex}.{name}") for name in ("part", "text", "inflated")
    )
    try:
        pieces = _show(read_pieces(source, content_encoding, limits), lambda _: on_piece())
        if format.is_spreadsheet:
            _write(inflated, pieces)
            _convert_sheet(inflated, text, format, limits, on_piece)
            read_as = None
        else:
            read_as = _write_text(pieces, text, inflated, encoding, on_piece)
        if not text.stat().st_size:
            raise FileProblem("The file is empty.")
        staged = stage_rows(text, part, format, limits, columns, on_piece, dates)
        notes = [] if read_as is None or not read_as.is_guess else _describe_guess(read_as, part, columns)
        part.replace(target)
        return Staged(staged.rows, [*notes, *staged.notes])
    finally:
        for path in (part, text, inflated):
            path.unlink(missing_ok=True)


def _write_text(
    pieces: Iterable[bytes], text: Path, inflated: Path, given: str | None, on_piece: Callable[[], None]
) -> Encoding:
    """Write the file as UTF-8 to ``text``; return how it was read."""
    survey = EncodingSurvey()
    _write(inflated, _drop_mark(_show(pieces, survey.add)))
    found = survey.choose() if given is None else Encoding(name=given)
    if found.name == "utf-8":
        inflated.replace(text)
    else:
        _write(text, _show(transcode(inflated, found.name), lambda _: on_piece()))
    return found


_SHOWN = 3
"""Captions that are shown in both readings."""


def _describe_guess(read_as: Encoding, staged: Path, columns: Columns) -> list[str]:
    """Return the note on an encoding that was guessed, with captions that the next likely one reads otherwise."""
    note, other = f"The file is not UTF-8 and was read as {read_as.name}, which is a guess.", read_as.other
    texts = (text[:60] for text in _read_captions(staged, columns) if other and not text.isascii())
    readings = ((text, text.encode(read_as.name, "replace").decode(other, "replace")) for text in texts)
    shown = [
        f"{text!r} would be {reading!r}"
        for text, reading in islice((both for both in readings if both[0] != both[1]), _SHOWN)
    ]
    if shown:
        note += f" As {other} {'; '.join(shown)}."
    return [f"{note} If its letters are wrong, name its encoding."]


def _read_captions(staged: Path, columns: Columns) -> Iterator[str]:
    """Yield the captions of a staged table, as they are found in its rows."""
    with staged.open("rb") as file:
        _, _, *header = json.loads(file.readline())
        place = next((n for n, cell in enumerate(header, 1) if columns.find(cell) == "caption"), 0)
        for raw in file if place else ():
            row = json.loads(raw)
            if len(row) > place and isinstance(row[place], str):
                yield row[place]


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _show(pieces: Iterable[bytes], see: Callable[[bytes], object]) -> Iterable[bytes]:
    for piece in pieces:
        see(piece)
        yield piece


def _drop_mark(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Drop the byte order mark, which belongs to the encoding and not to the text."""
    is_first = True
    for piece in pieces:
        yield piece.removeprefix(codecs.BOM_UTF8) if is_first else piece
        is_first = is_first and not piece


def _convert_sheet(
    source: Path,
    target: Path,
    format: Format,  # noqa: A002
    limits: Imports,
    on_piece: Callable[[], None],
) -> None:
    size = source.stat().st_size
    if not size:
        raise FileProblem("The file is empty.")
    if size > MAX_SHEET_BYTES:
        raise build_too_large(
            f"The spreadsheet has {size:,} bytes, and at most {MAX_SHEET_BYTES:,} are read. Save it as CSV."
        )
    job = SheetJob(
        format=format.value,
        size=size,
        max_rows=limits.max_sheet_rows,
        max_ratio=limits.max_ratio,
        max_bytes=limits.max_bytes,
    )
    with source.open("rb") as file, target.open("wb") as sink:

        def read(offset: int, length: int) -> bytes:
            on_piece()
            file.seek(offset)
            return file.read(length)

        def write(lines: bytes) -> None:
            on_piece()
            sink.write(lines)

        try:
            read_sheet(job, read, write)
        except Refused as error:
            raise (FileProblem if error.status is None else build_too_large)(error.reason) from None
