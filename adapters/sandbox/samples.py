"""Sample media: small files that every platform accepts, and some that platforms refuse."""

import os
import struct
from pathlib import Path

import av
from PIL import Image, ImageDraw

_SIZE = (540, 960)
_RATE = 30
_SECONDS = 5
_SMALL_BYTES = 100_000
"""LinkedIn accepts no video below 75 KB."""
_LARGE_BYTES = 12_000_000
_IMAGES = 5
_COLOURS = ((214, 40, 57), (39, 125, 161), (87, 117, 144), (249, 199, 79), (67, 170, 139))


def make_samples(folder: Path) -> None:
    """Create the samples that are missing in `folder`; existing files stay unchanged."""
    makers = {
        "sample.mp4": _write_video,
        "sample-large.mp4": _write_large_video,
        "wide.jpg": _write_wide_image,
        "picture.png": _write_png,
    }
    for name, make in makers.items():
        path = folder / name
        if not path.exists():
            part = folder / f".{name}.part"
            make(part)
            part.replace(path)
    for number in range(1, _IMAGES + 1):
        path = folder / f"sample-{number}.jpg"
        if not path.exists():
            _draw_image(number, (1080, 1350)).save(path, "JPEG", quality=85)


def _draw_image(number: int, size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, _COLOURS[number % len(_COLOURS)])
    draw = ImageDraw.Draw(image)
    draw.ellipse(
        (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), fill=_COLOURS[(number + 2) % 5]
    )
    draw.text((20, 20), f"Slipway sample {number}", fill="white", font_size=max(12, size[0] // 16))
    return image


def _write_wide_image(path: Path) -> None:
    _draw_image(1, (2000, 200)).save(path, "JPEG")


def _write_png(path: Path) -> None:
    _draw_image(2, (1080, 1350)).save(path, "PNG")


def _write_video(path: Path) -> None:
    """Write H.264 in MP4, 9:16, index first."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(_RATE * _SECONDS):
            image = Image.new("RGB", _SIZE, _COLOURS[1])
            top = number * (_SIZE[1] - 100) // (_RATE * _SECONDS)
            ImageDraw.Draw(image).rectangle((170, top, 370, top + 100), fill=_COLOURS[3])
            output.mux(stream.encode(_to_frame(image)))
        output.mux(stream.encode(None))
    _pad(path, _SMALL_BYTES)


def _to_frame(image: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return frame


def _write_large_video(path: Path) -> None:
    """Write the same video, padded."""
    path.write_bytes(path.with_name("sample.mp4").read_bytes())
    _pad(path, _LARGE_BYTES)


def _pad(path: Path, size: int) -> None:
    """Pad an MP4 file to `size` bytes with a `free` box, which players skip."""
    missing = size - path.stat().st_size
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", missing, b"free") + os.urandom(missing - 8))
