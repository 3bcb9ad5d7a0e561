"""Finds out how the text of a file is encoded: UTF-8, UTF-16 by its mark, else by its letters.

Among the Latin code pages that is cp1252 unless the letters of the whole file are those of a language of cp1250.
"""

from __future__ import annotations

import codecs
import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from charset_normalizer import from_bytes

from pipeline.imports.columns import FileProblem

_SAMPLE = 256 * 1024
"""Bytes of lines that are not UTF-8, from which the script is guessed."""
_PIECE = 64 * 1024
WESTERN, CENTRAL = "cp1252", "cp1250"
_CANDIDATES = [f"cp{n}" for n in (1252, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 932, 949)]
_CANDIDATES += ["big5", "gb18030", "euc_jp", "mac_roman"]
"""The encodings of spreadsheets that are not in Unicode: the Windows code pages, and those of the Mac and Unix."""
_LATIN = frozenset({WESTERN, CENTRAL, "cp1254", "cp1257", "mac_roman"})
ENCODINGS = ("utf-8", "utf-16", *_CANDIDATES)
"""The encodings that the author of a file may name."""

_UNUSUAL = 1e-4
"""The share of a letter that a language does not have: of names and loanwords."""
_ROUNDS = 12
"""After which the mix of languages that explains the letters best has settled."""


@cache
def _read_letters(page: str) -> Sequence[Mapping[int, float]]:
    """Return for each language of a code page the share of each byte among the bytes beyond ASCII."""
    languages, data = [], files(__package__).joinpath("latin_letters.toml").read_text("utf-8")
    for letters in tomllib.loads(data)[page].values():
        weights: dict[int, float] = {}
        for letter, weight in ((one[0], float(one[1:])) for one in letters.split()):
            weights[letter.encode(page)[0]] = weight
            if (capital := letter.upper()) != letter and len(capital) == 1:
                weights[capital.encode(page)[0]] = weight / 10
        whole = sum(weights.values())
        languages.append({byte: weight / whole for byte, weight in weights.items()})
    return languages


def measure_likelihood(letters: Mapping[int, int], page: str) -> float:
    """Return the logarithm of how likely these bytes are in the mix of a page's languages that explains them best."""
    languages = _read_letters(page)
    shares, found = [1 / len(languages)] * len(languages), 0.0
    for _ in range(_ROUNDS):
        taken, found = [0.0] * len(languages), 0.0
        for byte, count in letters.items():
            parts = [
                share * known.get(byte, _UNUSUAL) for share, known in zip(shares, languages, strict=True)
            ]
            found += count * math.log(sum(parts))
            taken = [all_ + count * part / sum(parts) for all_, part in zip(taken, parts, strict=True)]
        shares = [all_ / sum(taken) for all_ in taken]
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """Python's name of an encoding. ``is_guess``: the file does not show it. ``other``: the next likely one, or ""."""

    name: str
    is_guess: bool = False
    other: str = ""


class EncodingSurvey:
    """Determines the encoding of a file from all of its bytes, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._head = b""
        self._valid = self._invalid = 0
        self._sample = bytearray()
        self._letters: Counter[int] = Counter()

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
                self._letters.update(line.translate(None, _ASCII))
                if len(self._sample) < _SAMPLE:
                    self._sample += line + b"\n"

    def choose(self) -> Encoding:
        """Return the encoding. Raises FileProblem.

        A file with more UTF-8 lines than others is UTF-8: a guess would spoil its good rows, so bad ones are refused.
        """
        is_utf16 = self._head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if b"\0" in self._head and (not is_utf16 or self._head.endswith(b"\0\0")):
            raise FileProblem(
                "The file is UTF-32, UTF-16 without a byte order mark, or no text. Save it as UTF-8."
            )
        if is_utf16:
            return Encoding(name="utf-16")
        if self._invalid <= self._valid:
            return Encoding(name="utf-8")
        best = from_bytes(bytes(self._sample), cp_isolation=_CANDIDATES).best()
        if best is None:
            raise FileProblem(
                "The file is neither UTF-8 nor in an encoding that can be recognized. Save it as UTF-8."
            )
        if _LATIN.isdisjoint((best.encoding, *best.could_be_from_charset)):
            return Encoding(name=best.encoding, is_guess=True)
        return self._choose_latin(best.encoding)

    def _choose_latin(self, other: str) -> Encoding:
        """Return cp1252, or cp1250 if its languages explain the letters better; *other* if it can be neither."""
        found = {
            page: measure_likelihood(self._letters, page)
            for page in (WESTERN, CENTRAL)
            if _can_decode(self._letters, page)
        }
        pages = [*sorted(found, key=found.__getitem__, reverse=True), other]
        return Encoding(name=pages[0], is_guess=True, other=pages[1] if len(pages) > 2 else "")  # noqa: PLR2004


_ASCII = bytes(range(0x80))


def _can_decode(letters: Mapping[int, int], page: str) -> bool:
    try:
        return bool(bytes(letters).decode(page))
    except UnicodeDecodeError:
        return False


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
