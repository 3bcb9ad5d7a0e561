"""Real media files, written by the libraries, and ways to damage them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
from PIL import Image


@cache
def video(
    form: str = "mp4",
    codec: str = "libx264",
    *,
    turned: int = 0,
    frames: int = 30,
    movflags: str = "",
    noisy: bool = False,
) -> bytes:
    """Return a video of 320 x 180 at 30000/1001 frames a second; a ``noisy`` one is large."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"  # faststart reads it again by its name
        _write(path, form, codec, turned, frames, {"movflags": movflags} if movflags else {}, noisy=noisy)
        return path.read_bytes()


def _write(
    path: Path, form: str, codec: str, turned: int, frames: int, options: dict[str, str], *, noisy: bool
) -> None:
    with av.open(str(path), "w", format=form, options=options) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"crf": "0", "preset": "ultrafast"} if noisy else {}
        if turned:
            stream.set_display_rotation(turned)
        noise = _noise()
        for number in range(frames):
            frame = av.VideoFrame(320, 180, "yuv420p")
            for plane in frame.planes:
                plane.update(noise(plane.buffer_size) if noisy else bytes([number]) * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _noise() -> Callable[[int], bytes]:
    from random import Random

    return Random(7).randbytes


@cache
def image(form: str, size: tuple[int, int] = (64, 32), orientation: int = 1) -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {} if form == "GIF" or orientation == 1 else {"exif": exif}
    Image.new("RGB", size, (200, 30, 30)).save(out, form, **options)
    return out.getvalue()


def webp(size: tuple[int, int], **options: Any) -> bytes:
    """Return a WebP of one colour: lossy, ``lossless``, or extended by metadata."""
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, "WEBP", **options)
    return out.getvalue()


def png_with_late_exif(size: tuple[int, int], orientation: int) -> bytes:
    """Return a PNG, red in its first corner, whose eXIf chunk comes after its pixels."""
    picture, out, exif = Image.new("RGB", size, "white"), io.BytesIO(), Image.Exif()
    picture.paste((200, 30, 30), (0, 0, size[0] // 2, size[1] // 2))
    exif[0x0112] = orientation
    picture.save(out, "PNG", exif=exif)
    data = out.getvalue()
    at = data.index(b"eXIf") - 4
    chunk = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
    end = data.index(b"IEND") - 4
    return data[:at] + data[at + len(chunk) : end] + chunk + data[end:]


@cache
def animation(form: str) -> bytes:
    """Return an image of two pictures, one after the other."""
    out = io.BytesIO()
    first, second = (Image.new("RGB", (64, 32), colour) for colour in ("red", "blue"))
    first.save(out, form, save_all=True, append_images=[second], duration=100)
    return out.getvalue()


def bomb(side: int = 60_000) -> bytes:
    """Return a PNG of a few bytes that claims so many pixels a side."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def box(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", len(data) + 8, name) + data


def heic(width: int, height: int, *, quarter_turns: int = 0) -> bytes:
    """Return the boxes of a HEIC that contain its size, after those of a thumbnail of another size."""
    full = bytes(4)
    ispe = [box(b"ispe", full, struct.pack(">II", w, h)) for w, h in ((10, 10), (width, height))]
    properties = box(b"ipco", *ispe, box(b"irot", bytes([quarter_turns])))
    uses = struct.pack(">IHBBHBBB", 2, 1, 1, 1, 2, 2, 2, 3)
    iprp = box(b"iprp", properties, box(b"ipma", full, uses))
    meta = box(b"meta", full, box(b"pitm", full, struct.pack(">H", 2)), iprp)
    return box(b"ftyp", b"heic", bytes(4), b"mif1heic") + meta + box(b"mdat", bytes(100))


_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"dinf"})


def with_outside_data(data: bytes, url: str) -> bytes:
    """Return the MP4 with tracks that refer to media at ``url`` (its ``moov`` must come last)."""
    out, at = b"", 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        if name == b"dref":
            content = struct.pack(">II", 0, 1) + box(b"url ", bytes(4), url.encode() + b"\0")
        elif name in _PARENTS:
            content = with_outside_data(content, url)
        out += box(name, content)
        at += size
    return out


@cache
def sound() -> bytes:
    """Return an MP4 without video."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=48_000)
        stream.layout = "mono"
        for number in range(20):
            frame = av.AudioFrame("fltp", "mono", 1024)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 48_000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
