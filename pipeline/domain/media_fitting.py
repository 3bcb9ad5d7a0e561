"""Plan how an image is made to fit what a platform takes, and say how a video has to be re-encoded. Pure.

The result of a conversion is always a JPEG. An image that fits is never converted; videos are sent as they are.
A thumbnail, of an image or of a frame of a video, is a WebP.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from adapters.contract import MediaFacts
from adapters.limit import ImageRule, Limit

Fit = Literal["pad", "crop"]
"""How width : height is changed: by white borders, or by cutting edges off."""
Size = tuple[int, int]
"""Width and height, in pixels."""

JPEG = "image/jpeg"
TYPES = frozenset({JPEG, "image/png", "image/webp", "image/gif", "image/avif"})
"""The types that can be converted."""
CMYK = "cmyk"
"""The codec of a JPEG in the colours of print, as its check finds it. No platform names them among what it takes."""
HEIC = frozenset({"image/heic", "image/heif"})
MAX_BYTES = 40 * 1024**2
"""Bytes of a file that is converted, at most: its check reads all of them."""
MAX_PIXELS = 36_000_000
"""Pixels of an image that is converted, at most. A JPEG may have more: it is decoded at half its size."""
MAX_PIXELS_DECODED_WHOLE = 16_000_000
"""The same for WebP and AVIF, whose decoders allocate several pictures of the full size."""
MAX_RESULT_PIXELS = 16_000_000
"""Pixels of the result, at most: platforms show far fewer, and more would not fit the memory of a conversion."""
_DECODED_WHOLE = frozenset({"image/webp", "image/avif"})
_QUALITY = 92
_VERSION = 2
"""Part of a derived file's name: raise it when the same conversion makes another picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """How one image is made to fit. Sizes are as shown, after the orientation of its EXIF data is applied."""

    source: Size
    crop: Size
    """The part of the source that is kept, from its middle."""
    scaled: Size
    """The size it is scaled to; never larger than ``crop``."""
    canvas: Size
    """The result: ``scaled`` in the middle of white."""
    max_bytes: int | None
    quality: int = _QUALITY
    encoding: Literal["JPEG", "WEBP"] = "JPEG"

    def predict(self, facts: MediaFacts) -> MediaFacts:
        """Return the facts of the result, with the most bytes it can have; a derived file knows its own."""
        most = facts.bytes if self.max_bytes is None else min(facts.bytes, self.max_bytes)
        width, height = self.canvas
        return MediaFacts(content_type=JPEG, bytes=most, width=width, height=height)

    def describe(self, facts: MediaFacts, fit: Fit | None) -> str:
        """Return type and size before and after, in words."""
        how = {"pad": ", with white borders", "crop": ", with its edges cut off"}
        is_refitted = self.crop != self.source or self.canvas != self.scaled
        colours = " in CMYK" if facts.codec == CMYK else ""
        return (
            f"from {facts.content_type}{colours} of {facts.width} x {facts.height} and {facts.bytes:,} bytes "
            f"to {JPEG} of {self.canvas[0]} x {self.canvas[1]}{how[fit] if fit and is_refitted else ''}"
        )


def plan_conversion(facts: MediaFacts, rule: ImageRule, fit: Fit | None = None) -> Conversion | None:
    """Return how the image is made to fit; None if it fits as it is, or cannot be converted (`explain_refusal`).

    Without ``fit`` its width : height stays, whether the platform takes it or not.
    """
    if not facts.width or not facts.height:
        return None
    source = (facts.width, facts.height)
    crop, canvas = _refit(source, rule, fit)
    is_taken = facts.content_type in rule.types and (rule.bytes is None or facts.bytes <= rule.bytes)
    is_taken = is_taken and facts.codec != CMYK
    factor = _find_factor(canvas, rule)
    if is_taken and crop == canvas == source and factor == 1:
        return None
    if not _is_convertible(facts):
        return None
    factor = min(factor, *_find_own_factors(canvas, rule, facts))
    return Conversion(
        source=source,
        crop=crop,
        scaled=_scale(crop, factor),
        canvas=_scale(canvas, factor),
        max_bytes=rule.bytes,
    )


THUMBNAIL_SIDE, THUMBNAIL_BYTES = 256, 64_000
"""Pixels of the longer side of a thumbnail, and its bytes, at most; usually it has less than 15,000."""


def plan_thumbnail(facts: MediaFacts) -> Conversion | None:
    """Return how an image, or a frame of a video, becomes a thumbnail; None if its size is not known."""
    if not facts.width or not facts.height:
        return None
    source = (facts.width, facts.height)
    scaled = _scale(source, min(1.0, THUMBNAIL_SIDE / max(source)))
    return Conversion(
        source=source,
        crop=source,
        scaled=scaled,
        canvas=scaled,
        max_bytes=THUMBNAIL_BYTES,
        quality=75,
        encoding="WEBP",
    )


def explain_refusal(facts: MediaFacts, rule: ImageRule, fit: Fit | None = None) -> str | None:
    """Return advice about an image that is refused and not made to fit; None if it is not refused for that."""
    if facts.content_type in HEIC and facts.content_type not in rule.types:
        return "HEIC cannot be converted here: export the image as JPEG or PNG, and send that."
    if not facts.width or not facts.height:
        return None
    if not _is_convertible(facts):
        most = _find_max_pixels(facts)
        if facts.content_type not in TYPES:
            return "Images of this type cannot be converted: export it as JPEG or PNG, and send that."
        return (
            f"An image of at most {MAX_BYTES:,} bytes and {most:,} pixels would be converted; this one has "
            f"{facts.bytes:,} bytes and {facts.width * facts.height:,} pixels. Send a smaller one."
        )
    if fit is None and not rule.takes_ratio(round(facts.width / facts.height, 3)):
        return (
            f'Send media.fit "pad" (white borders, {_name_result(facts, rule, "pad")}) or "crop" (edges cut off, '
            f"{_name_result(facts, rule, 'crop')}), or an image of that shape."
        )
    return None


def _name_result(facts: MediaFacts, rule: ImageRule, fit: Fit) -> str:
    plan = plan_conversion(facts, rule, fit)
    return f"{plan.canvas[0]} x {plan.canvas[1]}" if plan else f"{facts.width} x {facts.height}"


def name_derived(scope: str, source_sha256: str, rule: ImageRule, fit: Fit | None) -> str:
    """Return the name of the file derived from a source by a rule: a hash of both, within a secret scope."""
    named = json.dumps([_VERSION, scope, source_sha256, asdict(rule), fit, _QUALITY], sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest() + ".jpg"


def _is_convertible(facts: MediaFacts) -> bool:
    pixels = (facts.width or 0) * (facts.height or 0)
    return facts.content_type in TYPES and facts.bytes <= MAX_BYTES and pixels <= _find_max_pixels(facts)


def _find_max_pixels(facts: MediaFacts) -> int:
    if facts.content_type == JPEG:
        return 4 * MAX_PIXELS
    return MAX_PIXELS_DECODED_WHOLE if facts.content_type in _DECODED_WHOLE else MAX_PIXELS


def _refit(source: Size, rule: ImageRule, fit: Fit | None) -> tuple[Size, Size]:
    """Return the size that is cropped to, and the canvas, before scaling."""
    if fit is None or rule.ratio is None:
        return source, source
    width, height = source
    found = round(width / height, 3)
    if rule.takes_ratio(found):
        return source, source
    least, most = rule.ratio
    is_narrow = found < least
    if fit == "crop":
        cut = (width, math.floor(width / least)) if is_narrow else (math.floor(height * most), height)
        cut = (max(1, cut[0]), max(1, cut[1]))
        return cut, cut
    padded = (math.ceil(height * least), height) if is_narrow else (width, math.ceil(width / most))
    return source, padded


def _find_factor(size: Size, rule: ImageRule) -> float:
    """Return the factor that brings both sides within the rule; 1 if they are."""
    short, long = sorted(size)
    factor = 1.0
    if rule.long_side is not None:
        factor = min(factor, rule.long_side / long)
    if rule.short_side is not None:
        factor = min(factor, rule.short_side / short)
    if rule.area is not None:
        factor = min(factor, math.sqrt(rule.area / (short * long)))
    return factor


def _find_own_factors(canvas: Size, rule: ImageRule, facts: MediaFacts) -> list[float]:
    """Return the further factors by which an image that is converted anyway is scaled."""
    width = 1.0 if rule.converted_width is None else rule.converted_width / canvas[0]
    is_huge = (facts.width or 0) * (facts.height or 0) > MAX_PIXELS
    return [width, math.sqrt(MAX_RESULT_PIXELS / (canvas[0] * canvas[1])), 0.5 if is_huge else 1.0]


def _scale(size: Size, factor: float) -> Size:
    """Return the size scaled down, each side rounded down: no side and no area gets over a limit."""
    width, height = (max(1, math.floor(side * factor + 1e-9)) for side in size)
    return width, height


Found = str | float | None


def _compute_ratio(facts: MediaFacts) -> float | None:
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


def _find_shorter(facts: MediaFacts) -> float | None:
    return min(facts.width, facts.height) if facts.width and facts.height else None


def _find_longer(facts: MediaFacts) -> float | None:
    return max(facts.width, facts.height) if facts.width and facts.height else None


_FACTS: Mapping[str, Callable[[MediaFacts], Found]] = {
    "type": lambda facts: facts.content_type,
    "codec": lambda facts: facts.codec,
    "size": lambda facts: facts.bytes,
    "duration": lambda facts: facts.duration,
    "frame rate": lambda facts: facts.fps,
    "width": lambda facts: facts.width,
    "width : height": _compute_ratio,
    "side": _find_longer,
}
"""The fact that a rule of a platform's table of limits is about; of ``side`` the one that has a most."""


def describe_changes(facts: MediaFacts, limits: Iterable[Limit], connection: str) -> str | None:
    """Return the limits to re-encode the video to, with the values found; None if it is within these limits."""
    changes = [
        change
        for limit in limits
        if limit.of == "video" and limit.is_enforced and limit.connection in ("", connection)
        for change in _list_changes(facts, limit)
    ]
    return f"Videos are sent as they are. Re-encode this one: {'; '.join(changes)}." if changes else None


def _list_changes(facts: MediaFacts, limit: Limit) -> Iterator[str]:
    read = _FACTS.get(limit.rule)
    found = None if read is None else read(facts)
    if found is None:
        return
    if limit.values:
        if not str(found).startswith(limit.values):  # a value may be a family: "video/"
            yield f"{limit.rule} {' or '.join(limit.values)} instead of {found}"
        return
    shortest = _find_shorter(facts) if limit.rule == "side" else found
    is_over = limit.most is not None and isinstance(found, int | float) and found > limit.most
    is_under = limit.least is not None and isinstance(shortest, int | float) and shortest < limit.least
    if is_over or is_under:
        yield f"{limit.rule} {_write_span(limit)} instead of {found if is_over else shortest}"


def _write_span(limit: Limit) -> str:
    least, most = (None if side is None else f"{side:.10g}" for side in (limit.least, limit.most))
    span = (
        f"at least {least}" if most is None else f"at most {most}" if least is None else f"{least} to {most}"
    )
    return f"{span} {limit.unit}".rstrip()
