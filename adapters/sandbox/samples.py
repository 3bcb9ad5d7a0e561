"""Makes the media the sandbox offers: real, small, and good enough for every platform; and some that is not."""

import os
import struct
from pathlib import Path

import av
from PIL import Image, ImageDraw

_SIZE = (540, 960)
_RATE = 30
_SECONDS = 5
_SMALL_BYTES = 100_000
"""LinkedIn takes no film below 75 KB."""
_LARGE_BYTES = 12_000_000
_PICTURES = 5
_COLOURS = ((214, 40, 57), (39, 125, 161), (87, 117, 144), (249, 199, 79), (67, 170, 139))


def make_samples(folder: Path) -> None:
    """Make what is missing in `folder`; files that are there stay as they are."""
    makers = {"sample.mp4": _film, "sample-large.mp4": _large_film, "wide.jpg": _wide, "picture.png": _png}
    for name, make in makers.items():
        path = folder / name
        if not path.exists():
            part = folder / f".{name}.part"
            make(part)
            part.replace(path)
    for number in range(1, _PICTURES + 1):
        path = folder / f"sample-{number}.jpg"
        if not path.exists():
            _picture(number, (1080, 1350)).save(path, "JPEG", quality=85)


def _picture(number: int, size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, _COLOURS[number % len(_COLOURS)])
    draw = ImageDraw.Draw(picture)
    draw.ellipse(
        (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), fill=_COLOURS[(number + 2) % 5]
    )
    draw.text((20, 20), f"Slipway sample {number}", fill="white", font_size=max(12, size[0] // 16))
    return picture


def _wide(path: Path) -> None:
    _picture(1, (2000, 200)).save(path, "JPEG")


def _png(path: Path) -> None:
    _picture(2, (1080, 1350)).save(path, "PNG")


def _film(path: Path) -> None:
    """H.264 in MP4, 9:16, index first."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(_RATE * _SECONDS):
            picture = Image.new("RGB", _SIZE, _COLOURS[1])
            top = number * (_SIZE[1] - 100) // (_RATE * _SECONDS)
            ImageDraw.Draw(picture).rectangle((170, top, 370, top + 100), fill=_COLOURS[3])
            output.mux(stream.encode(_frame(picture)))
        output.mux(stream.encode(None))
    _pad(path, _SMALL_BYTES)


def _frame(picture: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    return frame


def _large_film(path: Path) -> None:
    """The same film, only larger."""
    path.write_bytes(path.with_name("sample.mp4").read_bytes())
    _pad(path, _LARGE_BYTES)


def _pad(path: Path, size: int) -> None:
    """Bring a film to `size` bytes by a box that players skip."""
    missing = size - path.stat().st_size
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", missing, b"free") + os.urandom(missing - 8))
