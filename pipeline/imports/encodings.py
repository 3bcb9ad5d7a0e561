"""Finds out how the text of a file is encoded: UTF-8, UTF-16 by its mark, otherwise a guess."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path

from charset_normalizer import from_bytes

from pipeline.imports.formats import FileProblem

_SAMPLE = 256 * 1024
"""Bytes of lines that are not UTF-8, from which the encoding is guessed."""
_PIECE = 64 * 1024
_USUAL = "cp1252"
_CANDIDATES = [f"cp{n}" for n in (1252, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 932, 949)]
_CANDIDATES += ["big5", "gb18030", "euc_jp", "mac_roman"]
"""What spreadsheets write when they do not write Unicode: the Windows code pages, and those of the Mac and Unix."""


class EncodingSurvey:
    """Judges the encoding of a file from all of its bytes, piece by piece."""

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
