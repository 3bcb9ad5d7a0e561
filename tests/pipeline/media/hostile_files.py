"""Small files whose index claims much: what makes the libraries allocate memory or spend processor time."""

from __future__ import annotations

import io
import struct

from PIL import Image

from tests.pipeline.media import samples
from tests.pipeline.media.samples import box

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_REPLACED = frozenset({b"stsz", b"stts", b"ctts", b"stsc", b"stco", b"stss"})


def full(name: bytes, count: int, *entries: bytes, before: bytes = b"") -> bytes:
    """Return a table of an MP4: version and flags, what precedes the count, the count and the entries."""
    return box(name, bytes(4), before, struct.pack(">I", count), *entries)


def with_samples(count: int, *, movflags: str = "", replace: dict[bytes, bytes] | None = None) -> bytes:
    """Return an MP4 of 3 kB whose index claims ``count`` samples of one byte each."""
    tables = {
        b"stsz": full(b"stsz", count, before=struct.pack(">I", 1)),
        b"stts": full(b"stts", 1, struct.pack(">II", count, 1001)),
        b"stsc": full(b"stsc", 1, struct.pack(">III", 1, count, 1)),
        b"ctts": b"",
        b"stss": b"",
        **(replace or {}),
    }
    return _replace(samples.video(movflags=movflags), tables)


def with_full_tables(count: int) -> bytes:
    """Return an MP4 with an entry in every table for each of ``count`` samples: the dearest index for its samples."""
    each = range(count)
    return with_samples(
        count,
        replace={
            b"stsz": full(b"stsz", count, struct.pack(">I", 1) * count, before=bytes(4)),
            b"stts": full(b"stts", count, struct.pack(">II", 1, 1001) * count),
            b"ctts": full(b"ctts", count, struct.pack(">IIII", 1, 0, 1, 1) * (count // 2)),
            b"stco": full(b"stco", count, struct.pack(f">{count}I", *(48 + n % 900 for n in each))),
            b"stsc": full(b"stsc", 1, struct.pack(">III", 1, 1, 1)),
            b"stss": full(b"stss", count, struct.pack(f">{count}I", *(n + 1 for n in each))),
        },
    )


def _replace(data: bytes, tables: dict[bytes, bytes]) -> bytes:
    out, at = b"", 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        if name in _PARENTS:
            out += box(name, _replace(content, tables))
        elif name in tables:
            out += tables[name]
        else:
            out += box(name, content)
        at += size
    return out


def with_boxes_in_index(data: bytes, boxes: bytes) -> bytes:
    """Return the MP4 with boxes before the first one in its ``moov``, which must come last."""
    at = data.index(b"moov") - 4
    return data[:at] + box(b"moov", boxes, data[at + 8 :])


def with_nested_boxes(depth: int) -> bytes:
    """Return an MP4 of 8 bytes for each of ``depth`` boxes inside each other, in front of its ``moov``."""
    heads = b"".join(struct.pack(">I4s", 8 * n, b"moof") for n in range(depth, 0, -1))
    data = samples.video()
    at = data.index(b"moov") - 4
    return data[:at] + heads + data[at:]


def with_fragment(count: int) -> bytes:
    """Return a fragmented MP4 with one fragment more, whose run claims ``count`` samples without a byte for any."""
    data = samples.video(movflags="frag_keyframe+empty_moov")
    at = data.index(b"moof") - 4
    header = box(b"mfhd", bytes(4), struct.pack(">I", 1))
    track = box(b"tfhd", struct.pack(">III", 0x18, 1, 1001) + struct.pack(">I", 1))
    run = box(b"trun", bytes(4), struct.pack(">I", count))
    return data[:at] + box(b"moof", header, box(b"traf", track, run)) + data[at:]


def avi(entries: int) -> bytes:
    """Return an AVI with an old index of ``entries`` entries."""
    data = samples.video("avi", "mpeg4")
    at = data.index(b"idx1")
    entry = data[at + 8 : at + 24]
    return data[:at] + b"idx1" + struct.pack("<I", 16 * entries) + entry * entries


def avi_with_index_chunks(entries: int) -> bytes:
    """Return an AVI whose stream has an OpenDML index: two chunks at the end that claim ``entries`` entries each."""
    data = samples.video("avi", "mpeg4")
    at = data.index(b"strl") + 4
    size = 24 + 2 * 16
    end = len(data) + 8 + size
    super_index = struct.pack("<HBBI4s", 4, 0, 0, 2, b"00dc") + bytes(12)
    super_index += b"".join(struct.pack("<QII", end + n * 32, 32, 1) for n in range(2))
    chunk = b"ix00" + struct.pack("<IHBBI", 24, 2, 0, 1, entries) + bytes(16)
    longer = {data.index(b"hdrl") - 4: 8 + size, at - 8: 8 + size}
    changed = bytearray(data)
    for where, more in longer.items():
        struct.pack_into("<I", changed, where, struct.unpack_from("<I", data, where)[0] + more)
    indx = b"indx" + struct.pack("<I", size) + super_index
    return bytes(changed[:at]) + indx + bytes(changed[at:]) + chunk * 2


def matroska_with_tags_at_the_end(size: int) -> bytes:
    """Return a WebM whose seek head says that its tags, of ``size`` bytes, are behind its media."""
    data = samples.video("webm", "libvpx-vp9")
    segment = data.index(b"\x18S\x80g") + 4
    position = b"\x53\xac\x88" + struct.pack(">Q", len(data) - segment - 8)
    tags = b"\x12T\xc3g"
    seek = b"\x4d\xbb" + bytes([0x80 | 7 + len(position)]) + b"\x53\xab\x84" + tags + position
    head = b"\x11M\x9bt" + bytes([0x80 | len(seek)]) + seek
    position_of_tags = len(data) - segment - 8 + len(head)
    head = head.replace(position, b"\x53\xac\x88" + struct.pack(">Q", position_of_tags))
    unknown = b"\x01" + b"\xff" * 7
    content = b"\xec" + struct.pack(">Q", size - 9 | 1 << 56) + bytes(size - 9)  # a void element
    return (
        data[:segment]
        + unknown
        + head
        + data[segment + 8 :]
        + tags
        + struct.pack(">Q", size | 1 << 56)
        + content
    )


def matroska(cues: int) -> bytes:
    """Return a WebM with ``cues`` empty cue points before its media, two bytes each."""
    data = samples.video("webm", "libvpx-vp9")
    at = data.index(b"\x1fC\xb6u")  # the first cluster
    segment = data.index(b"\x18S\x80g") + 4
    unknown = b"\x01" + b"\xff" * 7
    content = b"\xbb\x80" * cues
    element = b"\x1cS\xbbk" + struct.pack(">Q", len(content) | 1 << 56) + content
    return data[:segment] + unknown + data[segment + 8 : at] + element + data[at:]


def webp(width: int, height: int, picture: tuple[int, int] | None = None) -> bytes:
    """Return a WebP of few bytes that claims a canvas of this size, and a picture of it or of another size."""
    canvas = b"".join((n - 1).to_bytes(3, "little") for n in (width, height))
    frame = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", *(picture or (width, height)))
    chunks = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas + b"VP8 " + struct.pack("<I", 10) + frame
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def jpeg_with_segments(count: int) -> bytes:
    """Return a JPEG with segments of 64 KiB that Pillow keeps."""
    data = samples.image("JPEG")
    return data[:2] + (b"\xff\xe5\xff\xff" + bytes(65_533)) * count + data[2:]


def slow_jpeg() -> bytes:
    """Return a JPEG of 24 MB with six million empty segments, each of which Pillow reads by itself and forgets.

    It takes about 6 s of processor time, twice the limit, and no memory.
    """
    data = samples.image("JPEG")
    return data[:2] + b"\xff\xc4\0\2" * 6_000_000 + data[2:]


def with_scans(count: int) -> bytes:
    """Return a progressive JPEG whose scans are repeated ``count`` times."""
    out = io.BytesIO()
    Image.new("RGB", (64, 32), (200, 30, 30)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    first = data.index(b"\xff\xda")
    return data[:first] + data[first:-2] * count + data[-2:]
