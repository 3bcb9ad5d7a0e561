"""Conversion of real and hostile images in a confined process: what comes out, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageCms

from adapters.errors import Rejected
from pipeline.domain.media_fitting import Conversion
from pipeline.media.probe.probe import NoRoom, convert
from pipeline.media.probe.probe_client import ProbeMemory
from pipeline.media.probe.probe_worker import CONVERSION_MEMORY
from tests.pipeline.media import samples

MEMORY = ProbeMemory(906_000_000)
SECONDS = 30.0
RED, WHITE = (200, 30, 30), (255, 255, 255)
Size = tuple[int, int]


def plan(source: Size, scaled: Size | None = None, **more: Any) -> Conversion:
    """Return the plan that scales the whole source."""
    sizes = {"crop": source, "scaled": scaled or source, "canvas": scaled or source, "max_bytes": None}
    return Conversion(source=source, **{**sizes, **more})


def run(data: bytes, conversion: Conversion) -> Image.Image:
    return Image.open(io.BytesIO(convert(io.BytesIO(data), conversion, MEMORY, SECONDS)))


def write(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def is_near(found: object, wanted: tuple[int, ...], most: int = 12) -> bool:
    assert isinstance(found, tuple)
    return all(abs(a - b) <= most for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_every_type_becomes_a_jpeg_of_the_planned_size(form: str) -> None:
    image = run(samples.image(form, (640, 320)), plan((640, 320), (200, 100)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (200, 100))
    assert is_near(image.getpixel((100, 50)), RED)


@pytest.mark.parametrize(
    ("form", "orientation"), [*(("JPEG", turn) for turn in range(1, 9)), ("PNG", 6), ("WEBP", 6), ("AVIF", 6)]
)
def test_the_orientation_is_applied_and_metadata_are_left_out(form: str, orientation: int) -> None:
    picture = Image.new("RGB", (80, 40), WHITE)
    picture.paste(RED, (0, 0, 40, 20))  # the first corner of the stored picture
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "A camera"
    data = write(picture, form, exif=exif)
    shown = (40, 80) if orientation > 4 else (80, 40)
    made = convert(io.BytesIO(data), plan(shown), MEMORY, SECONDS)
    image = Image.open(io.BytesIO(made))
    corners = {1: (5, 5), 2: (75, 5), 3: (75, 35), 4: (5, 35), 5: (5, 5), 6: (35, 5), 7: (35, 75), 8: (5, 75)}
    assert image.size == shown
    assert is_near(image.getpixel(corners[orientation]), RED, 40)
    assert not dict(image.getexif())
    assert {"exif", "icc_profile", "comment", "xmp"}.isdisjoint(image.info)
    assert b"A camera" not in made


@pytest.mark.parametrize(
    ("mode", "paint", "form"),
    [
        ("RGBA", (200, 30, 30, 0), "PNG"),
        ("LA", (90, 0), "PNG"),
        ("RGBA", (200, 30, 30, 0), "WEBP"),
        ("RGBA", (200, 30, 30, 0), "AVIF"),
        ("RGBA", (200, 30, 30, 0), "GIF"),
    ],
)
def test_what_is_transparent_becomes_white(mode: str, paint: tuple[int, ...], form: str) -> None:
    image = run(write(Image.new(mode, (90, 90), paint), form), plan((90, 90), (30, 30)))
    assert is_near(image.getpixel((15, 15)), WHITE, 2)


def test_a_palette_with_a_transparent_colour_and_half_transparency_are_laid_on_white() -> None:
    palette = Image.new("P", (60, 60), 3)
    palette.putpalette([0, 0, 0] * 3 + [10, 20, 30])
    assert is_near(run(write(palette, "PNG", transparency=3), plan((60, 60))).getpixel((5, 5)), WHITE, 2)
    half = Image.new("RGBA", (60, 60), (0, 0, 0, 128))
    assert is_near(run(write(half, "PNG"), plan((60, 60))).getpixel((5, 5)), (127, 127, 127), 3)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (Image.new("I;16", (40, 40), 0x8000), (128, 128, 128)),
        (Image.new("L", (40, 40), 77), (77, 77, 77)),
        (Image.new("1", (40, 40), 1), WHITE),
    ],
)
def test_grey_images_of_every_depth(image: Image.Image, wanted: tuple[int, ...]) -> None:
    assert is_near(run(write(image, "PNG"), plan((40, 40))).getpixel((5, 5)), wanted, 2)


def test_an_orientation_behind_the_pixels_of_a_png_does_not_count() -> None:
    image = run(samples.png_with_late_exif((80, 40), 6), plan((80, 40)))
    assert is_near(image.getpixel((5, 5)), RED, 40)
    assert is_near(image.getpixel((75, 35)), WHITE, 40)
    assert is_near(image.getpixel((5, 35)), WHITE, 40)


def test_the_transparent_grey_of_a_deep_image_becomes_white_and_only_that_one() -> None:
    picture = Image.new("I;16", (60, 60), 0x4000)
    picture.paste(Image.new("I;16", (30, 60), 0x40FF), (30, 0))
    image = run(write(picture, "PNG", transparency=0x4000), plan((60, 60)))
    assert is_near(image.getpixel((10, 30)), WHITE, 3)
    assert is_near(image.getpixel((50, 30)), (0x40, 0x40, 0x40), 3)


def test_colours_become_srgb_by_the_images_own_profile() -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    lab_for_rgb = write(Image.new("RGB", (40, 40), RED), "PNG", icc_profile=swapped.tobytes())
    assert is_near(run(lab_for_rgb, plan((40, 40))).getpixel((5, 5)), RED), (
        "a profile of other colours counts as none"
    )
    assert is_near(
        run(
            write(Image.new("RGB", (40, 40), RED), "PNG", icc_profile=b"broken" * 40), plan((40, 40))
        ).getpixel((5, 5)),
        RED,
    )
    linear = _make_linear_profile()
    image = run(write(Image.new("RGB", (40, 40), (55, 55, 55)), "PNG", icc_profile=linear), plan((40, 40)))
    assert is_near(image.getpixel((5, 5)), (128, 128, 128)), "55 of 255 in linear light is 128 in sRGB"


def _make_linear_profile() -> bytes:
    """Return sRGB's profile with its tone curves made linear: a ``curv`` of no entries."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for at in range(132, 132 + 12 * count, 12):
        if bytes(data[at : at + 4]) in (b"rTRC", b"gTRC", b"bTRC"):
            start = int.from_bytes(data[at + 4 : at + 8], "big")
            data[start : start + 12] = b"curv" + bytes(8)
            data[at + 8 : at + 12] = (12).to_bytes(4, "big")
    return bytes(data)


def test_cmyk_becomes_rgb() -> None:
    image = run(write(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG"), plan((40, 40)))
    assert image.mode == "RGB"
    assert is_near(image.getpixel((5, 5)), (255, 0, 0), 40)


def test_pad_and_crop_keep_the_middle() -> None:
    picture = Image.new("RGB", (300, 100), WHITE)
    picture.paste(RED, (100, 0, 200, 100))
    data = write(picture, "PNG")
    cropped = run(data, plan((300, 100), crop=(100, 100), scaled=(50, 50), canvas=(50, 50)))
    assert all(is_near(cropped.getpixel(at), RED) for at in ((2, 2), (47, 47)))
    padded = run(data, plan((300, 100), scaled=(300, 100), canvas=(300, 200)))
    assert padded.size == (300, 200)
    assert is_near(padded.getpixel((150, 100)), RED)
    assert is_near(padded.getpixel((150, 20)), WHITE)


def test_too_many_bytes_are_scaled_down() -> None:
    noise = write(Image.effect_noise((900, 900), 90).convert("RGB"), "PNG")
    data = convert(io.BytesIO(noise), plan((900, 900), max_bytes=60_000), MEMORY, SECONDS)
    assert len(data) <= 60_000
    assert Image.open(io.BytesIO(data)).width < 900


@pytest.mark.parametrize(
    "make",
    [
        samples.bomb,
        lambda: samples.image("PNG")[:60],
        lambda: samples.image("JPEG")[:200],
        lambda: samples.heic(40, 40),
        samples.video,
        lambda: b"no image",
    ],
)
def test_what_is_damaged_hostile_or_of_another_type_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(Rejected) as caught:
        convert(io.BytesIO(make()), plan((64, 32), (32, 16)), MEMORY, SECONDS)
    assert caught.value.code == "media_not_convertible"


def test_conversions_wait_for_memory_of_their_own() -> None:
    memory = ProbeMemory(906_000_000)
    assert sum(size * n for size, n in memory.parts.items()) <= 906_000_000
    with memory.reserve(CONVERSION_MEMORY, 1), pytest.raises(NoRoom):
        convert(io.BytesIO(samples.image("PNG")), plan((64, 32)), memory, SECONDS)


@pytest.mark.parametrize(
    ("form", "mode", "size", "options"),
    [
        ("PNG", "RGBA", (6000, 6000), {"compress_level": 1}),
        ("PNG", "RGB", (6000, 6000), {"compress_level": 1}),
        ("WEBP", "RGB", (4000, 4000), {"method": 0}),
        ("JPEG", "RGB", (8000, 8000), {"progressive": True}),
    ],
)
def test_the_largest_image_that_is_planned_fits_the_memory(
    form: str, mode: str, size: Size, options: dict[str, Any]
) -> None:
    data = write(Image.new(mode, size, (10, 200, 60, 90)[: len(mode)]), form, **options)
    assert run(data, plan(size, (4000, 4000), max_bytes=None)).size == (4000, 4000)
