"""Converts one hostile image to a JPEG or WebP with Pillow, by a plan. Runs in the probe process, as confined.

A picture is decoded once and made smaller strip by strip, so that at most one copy of its full size is in memory
with the result. Colours become sRGB by the image's own profile, transparent parts white; metadata are left out.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import IO, Any

from PIL import Image, ImageCms

from pipeline.media.probe.containers import SIDEWAYS, read_orientation, translate_pillow_errors

_STRIP_PIXELS = 2_000_000
_TRIES = 8
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE = (255, 255, 255)
_COLOURED = frozenset({"L", "RGB", "CMYK"})
"""Modes whose pixels a colour profile describes."""
_GREYS = 1 << 16
Size = tuple[int, int]


def convert(job: Mapping[str, Any], file: IO[bytes]) -> bytes:
    """Return the result. Raises Malformed for a damaged image, MemoryError for one that needs too much.

    ``job``: ``format``, and the plan.
    """
    with translate_pillow_errors(), Image.open(file, formats=[job["format"]]) as opened:
        picture = _read(opened, tuple(job["crop"]), tuple(job["scaled"]))
    return encode(_put_on_canvas(picture, tuple(job["canvas"])), job)


def _read(opened: Image.Image, crop: Size, scaled: Size) -> Image.Image:
    """Return the part of the picture that is kept, scaled and turned, in sRGB."""
    turn = read_orientation(opened)
    if turn in SIDEWAYS:
        crop, scaled = crop[::-1], scaled[::-1]
    stored = opened.size
    factor = max(scaled[0] / crop[0], scaled[1] / crop[1])
    if opened.format in ("JPEG", "MPO"):
        opened.draft(None, (math.ceil(stored[0] * factor), math.ceil(stored[1] * factor)))
    profile = opened.info.get("icc_profile")
    opened.load()
    decoded = (
        max(1, round(crop[0] * opened.width / stored[0])),
        max(1, round(crop[1] * opened.height / stored[1])),
    )
    small = _reduce(opened, decoded, scaled, _build_transform(profile))
    opened.close()  # frees its pixels
    if small.size != scaled:
        small = small.resize(scaled, Image.Resampling.LANCZOS)
    return small.transpose(_TURNS[turn]) if turn in _TURNS else small


def _reduce(
    opened: Image.Image, crop: Size, scaled: Size, to_srgb: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Return the middle of the picture as RGB, made smaller by the largest whole number that leaves enough pixels."""
    times = max(1, min(crop[0] // scaled[0], crop[1] // scaled[1]))
    left, top = (opened.width - crop[0]) // 2, (opened.height - crop[1]) // 2
    result = Image.new("RGB", (math.ceil(crop[0] / times), math.ceil(crop[1] / times)), _WHITE)
    rows = max(1, _STRIP_PIXELS // crop[0] // times) * times
    for first in range(0, crop[1], rows):
        last = min(first + rows, crop[1])
        strip = _flatten(opened.crop((left, top + first, left + crop[0], top + last)), to_srgb)
        result.paste(strip.reduce(times) if times > 1 else strip, (0, first // times))
    return result


def _flatten(strip: Image.Image, to_srgb: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return a strip as sRGB on white."""
    alpha = None
    if strip.mode.startswith("I"):  # 16 bits
        strip, alpha = _reduce_depth(strip)
    elif strip.mode == "LA":
        strip, alpha = strip.getchannel("L"), strip.getchannel("A")
    elif strip.has_transparency_data:
        strip = strip.convert("RGBA")
        strip, alpha = strip.convert("RGB"), strip.getchannel("A")
    elif strip.mode not in _COLOURED:
        strip = strip.convert("RGB")
    coloured = to_srgb(strip)
    if alpha is None:
        return coloured
    white = Image.new("RGB", coloured.size, _WHITE)
    white.paste(coloured, mask=alpha)
    return white


def _reduce_depth(strip: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a grey strip of 16 bits with 8, and its mask where one grey is transparent."""
    transparent, deep = strip.info.get("transparency"), strip.convert("I")
    grey = deep.point([value >> 8 for value in range(_GREYS)], "L")
    if transparent is None:
        return grey, None
    return grey, deep.point([0 if value == transparent else 255 for value in range(_GREYS)], "L")


def _build_transform(profile: bytes | None) -> Callable[[Image.Image], Image.Image]:
    """Return the function that makes a picture in the profile's colours sRGB; a broken profile counts as none."""
    transforms: dict[str, Any] = {}

    def to_srgb(picture: Image.Image) -> Image.Image:
        if picture.mode not in transforms:
            transforms[picture.mode] = _open_transform(profile, picture.mode)
        transform = transforms[picture.mode]
        if transform is None:
            return picture.convert("RGB")
        converted = ImageCms.applyTransform(picture, transform)
        return picture.convert("RGB") if converted is None else converted

    return to_srgb


def _open_transform(profile: bytes | None, mode: str) -> Any:
    if not profile:
        return None
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # not of these colours, or damaged


def _put_on_canvas(picture: Image.Image, canvas: Size) -> Image.Image:
    if picture.size == canvas:
        return picture
    whole = Image.new("RGB", canvas, _WHITE)
    whole.paste(picture, ((canvas[0] - picture.width) // 2, (canvas[1] - picture.height) // 2))
    return whole


def encode(picture: Image.Image, job: Mapping[str, Any]) -> bytes:
    """Return the picture as the job's ``encoding``, scaled down until it has at most ``max_bytes``."""
    most = job["max_bytes"]
    for _ in range(_TRIES):
        out = io.BytesIO()
        picture.save(out, job["encoding"], quality=job["quality"])
        found = out.tell()
        if found <= most:
            return out.getvalue()
        factor = min(0.9, 0.95 * math.sqrt(most / found))
        size = (max(1, int(picture.width * factor)), max(1, int(picture.height * factor)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    raise MemoryError
