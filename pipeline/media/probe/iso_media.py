"""What FFmpeg and Pillow do not tell about ISO base media files (MP4, MOV, HEIF): rotation, sizes, missing ends.

Pure reading of box headers (ISO/IEC 14496-12 and 23008-12); runs in the jail like all that reads hostile bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

MAX_BOXES = 4096
"""Boxes looked at inside another; real files have dozens."""
MAX_TOP = 16
"""Boxes looked at on the top level: enough to meet ``moov``, without a walk through thousands of fragments."""
MAX_META = 4 * 1024 * 1024
"""Bytes of a HEIF ``meta`` box that are read; real ones have kilobytes."""
_QUARTER_TURNS = frozenset({1, 3})


class Seekable(Protocol):
    """What is needed of a file."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to an offset."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Fewer bytes only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its four letters, and where its content lies (file offsets)."""

    name: bytes
    start: int
    end: int


def boxes(file: Seekable, start: int, end: int, most: int = MAX_BOXES) -> Iterator[Box]:
    """The boxes between two offsets; the last one may claim to reach beyond ``end``."""
    for _ in range(most):
        if end - start < 8:  # noqa: PLR2004  a header is 8 bytes; some writers leave padding
            return
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = int.from_bytes(file.read(8), "big"), 16
        elif size == 0:  # "to the end of the file"
            size = end - start
        if size < head:
            return
        yield Box(name, start + head, start + size)
        start += size


def _first(file: Seekable, where: Box, *path: bytes) -> Box | None:
    found: Box | None = where
    for name in path:
        if found is None:
            return None
        found = next((box for box in boxes(file, found.start, found.end) if box.name == name), None)
    return found


def cut_short(file: Seekable, size: int) -> bool:
    """Whether the media of an MP4 or MOV claim more bytes than the file has: it is not whole."""
    tops = boxes(file, 0, size, MAX_TOP)
    return any(box.end > size and box.name in (b"moov", b"mdat", b"moof") for box in tops)


def sideways(file: Seekable, size: int) -> frozenset[int]:
    """Ids of the tracks of an MP4 or MOV that are shown turned by a quarter (the matrix of their ``tkhd``)."""
    turned = set()
    for top in boxes(file, 0, size, MAX_TOP):
        if top.name != b"moov":
            continue
        for track in boxes(file, top.start, top.end):
            header = _first(file, track, b"tkhd") if track.name == b"trak" else None
            if header is not None:
                number, is_turned = _tkhd(_content(file, header, 104))
                turned |= {number} if is_turned else set()
    return frozenset(turned)


def _tkhd(data: bytes) -> tuple[int, bool]:
    """Track id, and whether the matrix swaps width and height (a and d smaller than b and c)."""
    wide = 12 if data[:1] == b"\x01" else 0  # version 1 has 64-bit times
    if len(data) < 76 + wide:  # up to the end of the matrix
        return 0, False
    (number,) = struct.unpack_from(">I", data, 12 + (8 if wide else 0))
    a, b, _, c, d = struct.unpack_from(">5i", data, 40 + wide)
    return number, abs(a) + abs(d) < abs(b) + abs(c)


def _content(file: Seekable, box: Box, most: int) -> bytes:
    file.seek(box.start)
    return file.read(min(most, box.end - box.start))


def heif_size(file: Seekable, size: int) -> tuple[int, int] | None:
    """Width and height of a HEIF's primary image as it is shown, None when the file does not say."""
    whole = Box(b"", 0, size)
    meta = _first(file, whole, b"meta")
    if meta is None:
        return None
    inside = Box(b"meta", meta.start + 4, meta.end)  # a full box: version and flags come first
    primary, properties = _first(file, inside, b"pitm"), _first(file, inside, b"iprp", b"ipco")
    uses = _first(file, inside, b"iprp", b"ipma")
    if primary is None or properties is None or uses is None:
        return None
    data = _content(file, primary, 8)
    item = int.from_bytes(data[4:6] if data[0] == 0 else data[4:8], "big")
    mine = _associated(_content(file, uses, MAX_META), item)
    found, turned = None, False
    for index, box in enumerate(boxes(file, properties.start, properties.end), 1):
        if index in mine and box.name == b"ispe":
            found = struct.unpack_from(">II", _content(file, box, 12), 4)
        elif index in mine and box.name == b"irot":
            turned = _content(file, box, 1)[0] & 3 in _QUARTER_TURNS
    return (found[1], found[0]) if found and turned else found


def _associated(data: bytes, item: int) -> frozenset[int]:
    """Numbers (from 1) of the properties that an ``ipma`` box gives to an item."""
    version, wide = data[0], data[3] & 1
    id_bytes = 2 if version == 0 else 4
    (entries,) = struct.unpack_from(">I", data, 4)
    at = 8
    for _ in range(entries):
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
