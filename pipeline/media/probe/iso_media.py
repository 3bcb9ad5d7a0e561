"""Reads what FFmpeg and Pillow do not report of ISO base media files (MP4, MOV, HEIF): rotation, sizes, missing ends.

Parses box headers (ISO/IEC 14496-12 and 23008-12). Runs in the probe process, as all code that reads hostile bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

MAX_BOXES = 4096
"""Boxes read inside another; real files have dozens."""
MAX_TOP = 16
"""Boxes read at the top level: enough to reach ``moov``, without reading thousands of fragments."""
MAX_META = 4 * 1024 * 1024
"""Bytes of a HEIF ``meta`` box that are read; real ones have kilobytes."""
_QUARTER_TURNS = frozenset({1, 3})


class Malformed(Exception):
    """The file breaks its format's rules, so it cannot be read."""


DAMAGED = (
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    struct.error,
    LookupError,
    ArithmeticError,
    zlib.error,
)
"""The errors of Pillow about a damaged image, next to OSError: RuntimeError for AVIF, IndexError for a short GIF."""


class SeekableFile(Protocol):
    """The methods of a file that this module uses."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to an offset."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type (four letters) and the file offsets of its content."""

    name: bytes
    start: int
    end: int


def iter_boxes(file: SeekableFile, start: int, end: int, most: int = MAX_BOXES) -> Iterator[Box]:
    """Yield the boxes between two offsets. The last one may claim to end after ``end``."""
    for _ in range(most):
        if end - start < 8:  # noqa: PLR2004  a header is 8 bytes; some writers leave padding
            return
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:  # noqa: PLR2004  the file ends here
            return
        size, name = struct.unpack(">I4s", header)
        head = 8
        if size == 1:
            size, head = int.from_bytes(file.read(8), "big"), 16
        elif size == 0:  # "to the end of the file"
            size = end - start
        if size < head:
            return
        yield Box(name, start + head, start + size)
        start += size


def _find_box(file: SeekableFile, where: Box, *path: bytes) -> Box | None:
    found: Box | None = where
    for name in path:
        if found is None:
            return None
        found = next((box for box in iter_boxes(file, found.start, found.end) if box.name == name), None)
    return found


def is_cut_short(file: SeekableFile, size: int) -> bool:
    """Return True if the boxes of an MP4 or MOV claim more bytes than the file has."""
    tops = iter_boxes(file, 0, size, MAX_TOP)
    return any(box.end > size and box.name in (b"moov", b"mdat", b"moof") for box in tops)


def list_sideways_tracks(file: SeekableFile, size: int) -> frozenset[int]:
    """Return the ids of the tracks that are shown rotated by 90 or 270 degrees (the matrix of their ``tkhd``)."""
    rotated = set()
    for top in iter_boxes(file, 0, size, MAX_TOP):
        if top.name != b"moov":
            continue
        for track in iter_boxes(file, top.start, top.end):
            header = _find_box(file, track, b"tkhd") if track.name == b"trak" else None
            if header is not None:
                number, is_rotated = _parse_track_header(_read_box(file, header, 104))
                rotated |= {number} if is_rotated else set()
    return frozenset(rotated)


def _parse_track_header(data: bytes) -> tuple[int, bool]:
    """Return the track id and whether the matrix swaps width and height (a and d smaller than b and c)."""
    wide = 12 if data[:1] == b"\x01" else 0  # version 1 has 64-bit times
    if len(data) < 76 + wide:  # up to the end of the matrix
        return 0, False
    (number,) = struct.unpack_from(">I", data, 12 + (8 if wide else 0))
    a, b, _, c, d = struct.unpack_from(">5i", data, 40 + wide)
    return number, abs(a) + abs(d) < abs(b) + abs(c)


def _read_box(file: SeekableFile, box: Box, most: int) -> bytes:
    file.seek(box.start)
    return file.read(max(0, min(most, box.end - box.start)))


def read_heif_size(file: SeekableFile, size: int) -> tuple[int, int] | None:
    """Return width and height of a HEIF's primary image as shown, None if the file does not contain them."""
    whole = Box(b"", 0, size)
    meta = _find_box(file, whole, b"meta")
    if meta is None:
        return None
    inside = Box(b"meta", meta.start + 4, meta.end)  # a full box: version and flags come first
    primary, properties = _find_box(file, inside, b"pitm"), _find_box(file, inside, b"iprp", b"ipco")
    uses = _find_box(file, inside, b"iprp", b"ipma")
    if primary is None or properties is None or uses is None:
        return None
    data = _read_box(file, primary, 8)
    item = int.from_bytes(data[4:6] if data[:1] == b"\0" else data[4:8], "big")
    mine = _list_properties(_read_box(file, uses, MAX_META), item)
    found, is_rotated = None, False
    for index, box in enumerate(iter_boxes(file, properties.start, properties.end), 1):
        if index in mine and box.name == b"ispe":
            found = _parse_size(_read_box(file, box, 12))
        elif index in mine and box.name == b"irot":
            is_rotated = int.from_bytes(_read_box(file, box, 1), "big") & 3 in _QUARTER_TURNS
    return (found[1], found[0]) if found and is_rotated else found


def _parse_size(data: bytes) -> tuple[int, int]:
    if len(data) < 12:  # noqa: PLR2004  version and flags, width, height
        raise Malformed("an ispe box is too short")
    width, height = struct.unpack_from(">II", data, 4)
    return width, height


def _list_properties(data: bytes, item: int) -> frozenset[int]:
    """Return the numbers (from 1) of the properties that an ``ipma`` box assigns to an item."""
    if len(data) < 8:  # noqa: PLR2004  version and flags, number of entries
        raise Malformed("an ipma box is too short")
    version, wide = data[0], data[3] & 1
    id_bytes = 2 if version == 0 else 4
    (entries,) = struct.unpack_from(">I", data, 4)
    at = 8
    for _ in range(entries):
        if len(data) <= at + id_bytes:
            raise Malformed("an ipma box ends within an entry")
        number = int.from_bytes(data[at : at + id_bytes], "big")
        count = data[at + id_bytes]
        at += id_bytes + 1
        step = 2 if wide else 1
        mask = 0x7FFF if wide else 0x7F
        found = [
            int.from_bytes(data[at + n * step : at + (n + 1) * step], "big") & mask for n in range(count)
        ]
        if number == item:
            return frozenset(found)
        at += count * step
    return frozenset()
