"""Inflates a file that was sent with a Content-Encoding, in bounded pieces, and judges its ratio meanwhile."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.imports.formats import HEAD_BYTES, FileProblem, ReadLimits, build_too_large, build_unsupported
from pipeline.runtime.zstd import zstd

PIECE = 64 * 1024
"""Bytes that are read, and that are inflated, at once."""
SMALL = 1024 * 1024
"""Inflated bytes that need no ratio: little text may be all alike."""
READ_AHEAD = 8 * 1024
"""Compressed bytes that are read at once: so much may be inflated before its ratio is judged."""
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
