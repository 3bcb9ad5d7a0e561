"""Converts a file of posts, as it was sent, to the staged rows that `read.open_rows` reads from any position.

Text becomes UTF-8, inflated and without a byte order mark. A spreadsheet becomes lines of JSON, ``[row, cell, …]`` with
every cell as text, made in a probe process: the archive is hostile until it is read. Then its rows are staged.

Finds out how the text of a file is encoded: UTF-8, UTF-16 by its mark, otherwise a guess.

Inflates a file that was sent with a Content-Encoding, in bounded pieces, and checks its ratio while it does.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from charset_normalizer import from_bytes

from pipeline.imports.columns import (
    HEAD_BYTES,
    Columns,
    FileProblem,
    Format,
    ReadLimits,
    build_too_large,
    build_unsupported,
)
from pipeline.imports.read import stage_rows
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


def read_pieces(path: Path, content_encoding: str | None, limits: ReadLimits) -> Iterator[bytes]:
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


def read_head(path: Path, content_encoding: str | None, limits: ReadLimits) -> bytes:
    """Return the first `HEAD_BYTES` of a file without its content encoding. Raises as `read_pieces`."""
    return next(read_pieces(path, content_encoding, limits), b"")[:HEAD_BYTES]


_SAMPLE = 256 * 1024
"""Bytes of lines that are not UTF-8, from which the encoding is guessed."""
_PIECE = 64 * 1024
_USUAL = "cp1252"
_CANDIDATES = [f"cp{n}" for n in (1252, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 932, 949)]
_CANDIDATES += ["big5", "gb18030", "euc_jp", "mac_roman"]
"""The encodings of spreadsheets that are not in Unicode: the Windows code pages, and those of the Mac and Unix."""


class EncodingSurvey:
    """Determines the encoding of a file from all of its bytes, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._head = b""
        self._valid = self._invalid = 0
        self._sample = bytearray()

    def add(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        if len(self._head) < 4:  # noqa: PLR2004  the longest byte order mark
            self._head = (self._head + piece[:4])[:4]
        try:
            if not self._decoder.decode(piece).isascii():
                self._valid += 1 + piece.count(b"\n")
        except UnicodeDecodeError:
            self._decoder.reset()
            self._count_lines(piece)

    def _count_lines(self, piece: bytes) -> None:
        for line in piece.split(b"\n"):
            if line.isascii():
                continue
            try:
                line.decode()
                self._valid += 1
            except UnicodeDecodeError:
                self._invalid += 1
                if len(self._sample) < _SAMPLE:
                    self._sample += line + b"\n"

    def choose(self) -> tuple[str, Sequence[str]]:
        """Return Python's name of the encoding, and what to tell the file's author. Raises FileProblem.

        A file with more UTF-8 lines than others is UTF-8: a guess would spoil its good rows, so bad ones are refused.
        """
        is_utf16 = self._head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if b"\0" in self._head and (not is_utf16 or self._head.endswith(b"\0\0")):
            raise FileProblem(
                "The file is UTF-32, UTF-16 without a byte order mark, or no text. Save it as UTF-8."
            )
        if is_utf16:
            return "utf-16", ()
        if self._invalid <= self._valid:
            return "utf-8", ()
        best = from_bytes(bytes(self._sample), cp_isolation=_CANDIDATES).best()
        if best is None:
            raise FileProblem(
                "The file is neither UTF-8 nor in an encoding that can be recognized. Save it as UTF-8."
            )
        encoding = _USUAL if _USUAL in best.could_be_from_charset else best.encoding
        note = (
            f"The file is not UTF-8. It was read as {encoding}, which is a guess: check its accented letters."
        )
        return encoding, (note,)


def transcode(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield the text of a file as UTF-8. Raises FileProblem where it is not in that encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while piece := file.read(_PIECE):
                yield decoder.decode(piece).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError:
            raise FileProblem(f"The file is not {encoding} throughout. Save it as UTF-8.") from None


_UTF8_MARK = b"\xef\xbb\xbf"


def convert_file(
    source: Path,
    target: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: ReadLimits,
    columns: Columns,
    *,
    content_encoding: str | None = None,
    on_piece: Callable[[], None] = lambda: None,
) -> Sequence[str]:
    """Stage the rows of ``source`` in ``target``, and return what to tell its author.

    ``target`` appears whole or not at all; a repetition, also at the same time, writes the same bytes again. A crash
    leaves files whose names begin with its own. ``on_piece`` is called between two pieces, and two rows. Raises
    FileProblem; for a spreadsheet also Unanswered (no free place to read it) and ProbeUnavailable (a fault of this
    installation): try again later.
    """
    part, text, inflated = (
        target.with_name(f"{target.name}.{uuid4().hex}.{name}") for name in ("part", "text", "inflated")
    )
    try:
        notes = _write_text(source, text, inflated, format, limits, content_encoding, on_piece)
        if not text.stat().st_size:
            raise FileProblem("The file is empty.")
        stage_rows(text, part, format, limits, columns, on_piece)
        part.replace(target)
        return notes
    finally:
        for path in (part, text, inflated):
            path.unlink(missing_ok=True)


def _write_text(
    source: Path,
    text: Path,
    inflated: Path,
    format: Format,  # noqa: A002
    limits: ReadLimits,
    content_encoding: str | None,
    on_piece: Callable[[], None],
) -> Sequence[str]:
    """Write the file as UTF-8, or the lines of a spreadsheet, to ``text``; return what to tell its author."""
    pieces = _report(read_pieces(source, content_encoding, limits), on_piece)
    if format.is_spreadsheet:
        _write(inflated, pieces)
        _convert_sheet(inflated, text, format, limits, on_piece)
        return ()
    survey = EncodingSurvey()
    _write(inflated, _drop_mark(_survey(pieces, survey)))
    encoding, notes = survey.choose()
    if encoding == "utf-8":
        inflated.replace(text)
    else:
        _write(text, _report(transcode(inflated, encoding), on_piece))
    return notes


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _report(pieces: Iterable[bytes], on_piece: Callable[[], None]) -> Iterable[bytes]:
    for piece in pieces:
        on_piece()
        yield piece


def _survey(pieces: Iterable[bytes], survey: EncodingSurvey) -> Iterable[bytes]:
    for piece in pieces:
        survey.add(piece)
        yield piece


def _drop_mark(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Drop the byte order mark, which belongs to the encoding and not to the text."""
    is_first = True
    for piece in pieces:
        yield piece.removeprefix(_UTF8_MARK) if is_first else piece
        is_first = is_first and not piece


def _convert_sheet(
    source: Path,
    target: Path,
    format: Format,  # noqa: A002
    limits: ReadLimits,
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
