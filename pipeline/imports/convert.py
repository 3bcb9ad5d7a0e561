"""Converts a file of posts, as it was sent, to the plain file that `read.open_rows` reads from any position.

Text becomes UTF-8, inflated and without a byte order mark. A spreadsheet becomes lines of JSON, ``[row, cell, …]`` with
every cell as text, made in a probe process: the archive is hostile until it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from uuid import uuid4

from pipeline.imports.encodings import EncodingSurvey, transcode
from pipeline.imports.formats import FileProblem, Format, ReadLimits, build_too_large
from pipeline.imports.inflate import read_pieces
from pipeline.media.probe.sheet_client import MAX_SHEET_BYTES, SheetJob, read_sheet
from pipeline.media.refusal import Refused

_UTF8_MARK = b"\xef\xbb\xbf"


def convert_file(
    source: Path,
    target: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: ReadLimits,
    *,
    content_encoding: str | None = None,
    on_piece: Callable[[], None] = lambda: None,
) -> Sequence[str]:
    """Write the plain form of ``source`` to ``target``, and return what to tell its author.

    ``target`` appears whole or not at all; a repetition, also at the same time, writes the same bytes again. A crash
    leaves files whose names begin with its own. ``on_piece`` is called between two pieces. Raises FileProblem; for a
    spreadsheet also Unanswered (no free place to read it) and ProbeUnavailable (a fault of this installation): try
    again later.
    """
    part, inflated = (
        target.with_name(f"{target.name}.{uuid4().hex}.{name}") for name in ("part", "inflated")
    )
    try:
        survey = EncodingSurvey()
        pieces = _report(read_pieces(source, content_encoding, limits), on_piece)
        if format.is_spreadsheet:
            _write(inflated, pieces)
            _convert_sheet(inflated, part, format, limits, on_piece)
            notes: Sequence[str] = ()
        else:
            _write(inflated, _drop_mark(_survey(pieces, survey)))
            encoding, notes = survey.choose()
            if encoding == "utf-8":
                inflated.replace(part)
            else:
                _write(part, _report(transcode(inflated, encoding), on_piece))
        if not part.stat().st_size:
            raise FileProblem("The file is empty.")
        part.replace(target)
        return notes
    finally:
        part.unlink(missing_ok=True)
        inflated.unlink(missing_ok=True)


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
