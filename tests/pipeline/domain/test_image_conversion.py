"""Plans of conversions, by the rules of the platforms: what is converted, to what, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.contract import MediaFacts, Platform
from adapters.limit import ImageRule
from adapters.registry import ADAPTERS
from pipeline.domain.media_fitting import (
    MAX_BYTES,
    MAX_RESULT_PIXELS,
    Conversion,
    Fit,
    explain_refusal,
    name_derived,
    plan_conversion,
)


def rule(platform: str) -> ImageRule:
    found = ADAPTERS[Platform(platform)].capabilities.image_rule
    assert found is not None
    return found


def facts(kind: str, width: int, height: int, size: int = 500_000) -> MediaFacts:
    return MediaFacts(content_type=f"image/{kind}", bytes=size, width=width, height=height)


def plan(platform: str, found: MediaFacts, fit: Fit | None = None) -> Conversion:
    made = plan_conversion(found, rule(platform), fit)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("platform", "found"),
    [
        ("tiktok", facts("jpeg", 1080, 1920)),
        ("tiktok", facts("webp", 1920, 1080)),
        ("instagram", facts("jpeg", 1080, 1350)),
        ("instagram", facts("jpeg", 1080, 1440)),  # 3:4, as third parties report
        ("instagram", facts("jpeg", 4000, 5000)),  # scaled by Instagram itself
        ("pinterest", facts("png", 1000, 3000)),
        ("facebook", facts("gif", 500, 500)),
        ("linkedin", facts("gif", 500, 500)),
    ],
)
@pytest.mark.parametrize("fit", [None, "pad", "crop"])
def test_what_fits_is_not_converted(platform: str, found: MediaFacts, fit: Fit | None) -> None:
    assert plan_conversion(found, rule(platform), fit) is None
    assert explain_refusal(found, rule(platform), fit) is None


@pytest.mark.parametrize(
    ("platform", "found", "canvas"),
    [
        ("tiktok", facts("png", 1080, 1350), (1080, 1350)),
        ("tiktok", facts("jpeg", 2160, 2700), (1080, 1350)),
        ("tiktok", facts("jpeg", 4000, 1000), (1920, 480)),
        ("instagram", facts("png", 1080, 1080), (1080, 1080)),
        ("instagram", facts("webp", 3000, 3000), (1440, 1440)),
        ("pinterest", facts("avif", 1000, 1500), (1000, 1500)),
        ("facebook", facts("webp", 1000, 1000), (1000, 1000)),
        ("linkedin", facts("jpeg", 8000, 6000), (4000, 3000)),
        ("linkedin", facts("webp", 300, 200), (300, 200)),
    ],
)
def test_type_and_size_are_made_to_fit(platform: str, found: MediaFacts, canvas: tuple[int, int]) -> None:
    made = plan(platform, found)
    assert (made.scaled, made.canvas, made.quality) == (canvas, canvas, 92)
    predicted = made.predict(found)
    assert predicted.content_type == "image/jpeg"
    assert plan_conversion(predicted, rule(platform)) is None, "what it becomes has to fit"


def test_too_many_bytes_are_a_reason() -> None:
    assert plan("facebook", facts("png", 3000, 3000, 12_000_000)).max_bytes == rule("facebook").bytes


@pytest.mark.parametrize(
    ("size", "fit", "crop", "canvas"),
    [
        ((900, 1600), "crop", (900, 1125), (900, 1125)),
        ((900, 1600), "pad", (900, 1600), (1280, 1600)),
        ((3000, 1000), "crop", (1910, 1000), (1440, 753)),
        ((1000, 300), "pad", (1000, 300), (1000, 524)),
    ],
)
def test_a_refused_shape_is_fitted_to_the_nearest_documented_one(
    size: tuple[int, int], fit: Fit, crop: tuple[int, int], canvas: tuple[int, int]
) -> None:
    found = facts("jpeg", *size)
    made = plan("instagram", found, fit)
    assert (made.crop, made.canvas) == (crop, canvas)
    assert made.scaled[0] <= canvas[0]
    assert made.scaled[1] <= canvas[1]
    width, height = made.canvas
    assert rule("instagram").takes_ratio(round(width / height, 3), documented=True)


def test_a_refused_shape_stays_refused_until_fitting_is_asked_for_and_the_remedy_is_named() -> None:
    found = facts("png", 900, 1600)
    assert plan("instagram", found).canvas == (900, 1600)
    remedy = explain_refusal(found, rule("instagram"))
    assert remedy is not None
    assert all(part in remedy for part in ('media.fit "pad"', "1280 x 1600", '"crop"', "900 x 1125"))
    assert explain_refusal(found, rule("instagram"), "pad") is None


@pytest.mark.parametrize("size", [(900, 1600), (3000, 1000), (2000, 9000), (2160, 3840), (1000, 300)])
def test_the_remedy_names_the_sizes_that_padding_and_cropping_really_make(size: tuple[int, int]) -> None:
    found = facts("jpeg", *size)
    remedy = explain_refusal(found, rule("instagram"))
    assert remedy is not None
    for fit in ("pad", "crop"):
        width, height = plan("instagram", found, fit).canvas
        assert f"{width} x {height}" in remedy


@pytest.mark.parametrize("platform", ["tiktok", "instagram", "facebook", "pinterest", "linkedin"])
def test_the_colours_of_print_are_a_reason(platform: str) -> None:
    found = replace(facts("jpeg", 1080, 1080), codec="cmyk")
    made = plan(platform, found)
    assert made.canvas == (1080, 1080)
    assert "image/jpeg in CMYK of 1080 x 1080" in made.describe(found, None)
    assert plan_conversion(made.predict(found), rule(platform)) is None
    assert plan_conversion(replace(found, codec=None), rule(platform)) is None


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (facts("heic", 4032, 3024), "HEIC cannot be converted here: export the image as JPEG or PNG"),
        (MediaFacts(content_type="image/heif", bytes=1), "HEIC cannot be converted here"),
        (facts("bmp", 100, 100), "export it as JPEG or PNG"),
        (facts("png", 100, 100, MAX_BYTES + 1), "Send a smaller one"),
        (facts("png", 10_000, 10_000), "36,000,000 pixels would be converted; this one has 500,000 bytes"),
        (facts("avif", 5000, 5000), "16,000,000 pixels would be converted"),
    ],
)
def test_what_cannot_be_converted_has_a_remedy(found: MediaFacts, remedy: str) -> None:
    assert plan_conversion(found, rule("tiktok"), "pad") is None
    told = explain_refusal(found, rule("tiktok"), "pad")
    assert told is not None
    assert remedy in told


def test_no_result_is_over_the_memory_of_a_conversion() -> None:
    huge = ImageRule(types=("image/jpeg",), ratio=(0.8, 1.9))
    for found in (facts("png", 6000, 6000), facts("png", 30_000, 1000), facts("jpeg", 9000, 9000)):
        made = plan_conversion(replace(found, content_type="image/png"), huge, "pad") or plan_conversion(
            found, replace(huge, bytes=1), "pad"
        )
        assert made is not None
        assert made.canvas[0] * made.canvas[1] <= MAX_RESULT_PIXELS


def test_the_name_is_a_hash_of_source_and_rule() -> None:
    fits: tuple[Fit | None, ...] = (None, "pad", "crop")
    names = {
        name_derived(scope, sha, rule(platform), fit)
        for scope in ("a", "b")
        for sha in ("0" * 64, "1" * 64)
        for platform in ("tiktok", "instagram")
        for fit in fits
    }
    assert len(names) == 2 * 2 * 2 * 3
    assert name_derived("a", "0" * 64, rule("tiktok"), None) in names
    assert all(len(name) == 64 + len(".jpg") for name in names)
