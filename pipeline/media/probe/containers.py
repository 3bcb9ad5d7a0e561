"""Recognize containers of media by their first bytes, and read what their headers say of size and orientation.

Pillow reads some of it only at a cost: its WebP decoder allocates two canvases of four bytes a pixel before it says how
large the picture is; the header says it in 30 bytes (RFC 9649, sections 2.4 to 2.7, and RFC 6386, section 9.1, read
2026-11-29). ISO media are MP4, MOV and HEIF: boxes within boxes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

Kind = Literal["image", "video", "document"]
HEAD_BYTES = 64
"""Bytes that suffice to recognize any container."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """An accepted file format and its reader: a Pillow format, an FFmpeg demuxer, our reader of ISO media, or pypdf."""

    kind: Kind
    content_type: str
    reader: Literal["pillow", "av", "iso_media", "pypdf"]
    format: str


def _image(content_type: str, pillow: str) -> Container:
    return Container(kind="image", content_type=content_type, reader="pillow", format=pillow)


def _video(content_type: str, demuxer: str) -> Container:
    return Container(kind="video", content_type=content_type, reader="av", format=demuxer)


def _heif(content_type: str) -> Container:
    return Container(kind="image", content_type=content_type, reader="iso_media", format="heif")


_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (b"\xff\xd8\xff", _image("image/jpeg", "JPEG")),
    (b"\x89PNG\r\n\x1a\n", _image("image/png", "PNG")),
    (b"GIF87a", _image("image/gif", "GIF")),
    (b"GIF89a", _image("image/gif", "GIF")),
    (b"%PDF-", Container(kind="document", content_type="application/pdf", reader="pypdf", format="pdf")),
)
_RIFF: dict[bytes, Container] = {
    b"WEBP": _image("image/webp", "WEBP"),
    b"AVI ": _video("video/x-msvideo", "avi"),
}
_AVIF = _image("image/avif", "AVIF")
# Major brands (mp4ra.org/registered-types/brands, read 2026-11); any other ftyp counts as MP4.
_BRANDS: dict[bytes, Container] = {
    b"avif": _AVIF,
    b"avis": _AVIF,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _heif("image/heic")),
    **dict.fromkeys((b"mif1", b"msf1"), _heif("image/heif")),
    b"qt  ": _video("video/quicktime", "mov"),
    b"M4V ": _video("video/x-m4v", "mov"),
}
_MP4 = _video("video/mp4", "mov")
_OLD_QUICKTIME = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})  # files older than ftyp
_EBML = b"\x1aE\xdf\xa3"


def sniff(head: bytes) -> Container | None:
    """Return the container that begins with ``head``, None if it is not an accepted one."""
    for magic, container in _MAGIC:
        if head.startswith(magic):
            return container
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(_EBML):
        webm = b"webm" in head[:HEAD_BYTES]
        return _video("video/webm" if webm else "video/x-matroska", "matroska")
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[4:8] in _OLD_QUICKTIME:
        return _BRANDS[b"qt  "]
    return None


def _brand(head: bytes) -> Container:
    major = head[8:12]
    if major in (b"mif1", b"msf1"):  # any image: the compatible brands name the codec
        size = min(int.from_bytes(head[:4], "big"), HEAD_BYTES)
        others = [head[at : at + 4] for at in range(16, size, 4)]
        return next((_BRANDS[brand] for brand in others if brand in (b"avif", b"heic")), _BRANDS[major])
    return _BRANDS.get(major, _MP4)


MAX_BOXES = 4096
"""Boxes read inside another; real files have dozens."""
MAX_TOP = 16
"""Boxes read at the top level: enough to reach ``moov``, without reading thousands of fragments."""
MAX_META = 4 * 1024 * 1024
"""Bytes of a HEIF ``meta`` box that are read; real ones have kilobytes."""
_QUARTER_TURNS = frozenset({1, 3})


class Malformed(Exception):
    """The file breaks its format's rules, so it cannot be read."""


_DAMAGED = (
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


@contextmanager
def translate_pillow_errors() -> Iterator[None]:
    """Translate Pillow's errors about a damaged image to Malformed."""
    try:
        yield
    except _DAMAGED as error:
        raise Malformed(str(error)) from None
    except OSError as error:
        if error.errno is not None:  # from a system call, not from Pillow
            raise
        raise Malformed(str(error)) from None


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type (four letters) and the file offsets of its content."""

    name: bytes
    start: int
    end: int


def iter_boxes(file: IO[bytes], start: int, end: int, most: int = MAX_BOXES) -> Iterator[Box]:
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


def _find_box(file: IO[bytes], where: Box, *path: bytes) -> Box | None:
    found: Box | None = where
    for name in path:
        if found is None:
            return None
        found = next((box for box in iter_boxes(file, found.start, found.end) if box.name == name), None)
    return found


def is_cut_short(file: IO[bytes], size: int) -> bool:
    """Return True if the boxes of an MP4 or MOV claim more bytes than the file has."""
    tops = iter_boxes(file, 0, size, MAX_TOP)
    return any(box.end > size and box.name in (b"moov", b"mdat", b"moof") for box in tops)


def list_sideways_tracks(file: IO[bytes], size: int) -> frozenset[int]:
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


def _read_box(file: IO[bytes], box: Box, most: int) -> bytes:
    file.seek(box.start)
    return file.read(max(0, min(most, box.end - box.start)))


def read_heif_size(file: IO[bytes], size: int) -> tuple[int, int] | None:
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


def read_webp(file: IO[bytes], size: int) -> WebPHeader:
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


def _list_chunks(file: IO[bytes], size: int) -> Iterator[tuple[bytes, int, bytes]]:
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
