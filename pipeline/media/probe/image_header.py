"""Reads what Pillow reads of an image's header only at a cost: the size of a WebP, and the orientation of a PNG.

Pillow's WebP decoder allocates two canvases of four bytes a pixel before it says how large the picture is; the header
says it in 30 bytes (RFC 9649, sections 2.4 to 2.7, and RFC 6386, section 9.1, read 2026-11-29).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.media.probe.iso_media import Malformed, SeekableFile

ORIENTATION = 0x0112
"""The EXIF tag."""
SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations that swap width and height."""
_ANIMATED = 0x02
_HEAD = 10
"""Bytes at the start of a chunk that say the size."""
_LOSSY, _LOSSLESS = struct.Struct("<3s3sHH"), struct.Struct("<cI")
_SIDE = 0x3FFF
_MAX_CHUNKS = 1000
"""Chunks of a WebP that is no animation, at most. Encoders write up to eight."""
_MAX_EXIF = 64 * 1024
"""Bytes of EXIF data that are read, as many as a JPEG can hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebPHeader:
    """The facts in the chunks of a WebP. ``exif``: the data of its EXIF chunk, empty without one."""

    width: int
    height: int
    is_animated: bool
    exif: bytes


def read_webp(file: SeekableFile, size: int) -> WebPHeader:
    """Return the header of a WebP, lossy, lossless or extended. Raises Malformed for a damaged one."""
    canvas = picture = None
    exif = b""
    for name, length, head in _list_chunks(file, size):
        if name == b"VP8X" and len(head) == _HEAD and canvas is None:
            canvas = (1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little"))
            if head[0] & _ANIMATED:
                return WebPHeader(width=canvas[0], height=canvas[1], is_animated=True, exif=b"")
        elif name in (b"VP8 ", b"VP8L") and picture is None:
            picture = _read_lossy(head) if name == b"VP8 " else _read_lossless(head)
        elif name == b"EXIF":
            exif = head + file.read(min(length, _MAX_EXIF) - len(head))
    if picture is None or (canvas and canvas != picture):
        raise Malformed("no picture of its canvas's size")
    return WebPHeader(width=picture[0], height=picture[1], is_animated=False, exif=exif)


def _list_chunks(file: SeekableFile, size: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield each chunk's name, length and first bytes, ten at most. The file then stands behind those."""
    file.seek(0)
    end = min(size, 8 + int.from_bytes(file.read(12)[4:8], "little"))
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if at + 8 + length > end:
            raise Malformed("a chunk is cut short")
        yield head[:4], length, file.read(min(_HEAD, length))
        at += 8 + length + length % 2
    raise Malformed("too many chunks")


def _read_lossy(head: bytes) -> tuple[int, int]:
    """Return the size in the header of a VP8 key frame; the two bits above each side are a scale."""
    if len(head) < _LOSSY.size:
        raise Malformed("no header")
    frame, start, width, height = _LOSSY.unpack_from(head)
    if frame[0] & 1 or start != b"\x9d\x01\x2a" or not (width & _SIDE and height & _SIDE):
        raise Malformed("no key frame")
    return width & _SIDE, height & _SIDE


def _read_lossless(head: bytes) -> tuple[int, int]:
    """Return the size in the header of VP8L: 14 bits each, less one."""
    if len(head) < _LOSSLESS.size:
        raise Malformed("no header")
    signature, bits = _LOSSLESS.unpack_from(head)
    if signature != b"\x2f":
        raise Malformed("no lossless picture")
    return 1 + (bits & _SIDE), 1 + (bits >> 14 & _SIDE)


def read_orientation(opened: Any) -> int:
    """Return the EXIF orientation of a Pillow image, 1 if it has none, before its pixels are decoded.

    A PNG's EXIF counts only before its pixels, as in browsers: Pillow would decode the whole image to look behind them.
    """
    if opened.format == "PNG" and "exif" not in opened.info:
        return 1
    return to_orientation(opened.getexif)


def to_orientation(read_exif: Callable[[], Any]) -> int:
    """Return the orientation in the EXIF data that a function reads; broken data count as none."""
    try:
        return int(read_exif().get(ORIENTATION) or 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  broken EXIF raises many errors; such an image is shown unrotated
        return 1
