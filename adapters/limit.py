"""Limits as data: how often a platform may be called, and what it takes; how texts are measured and cut.

The limits of one image, as data: ``problems.py`` checks by them, and the pipeline converts by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most ``count`` calls of ``step`` in ``per`` for one account; ``limits.py`` names source and date."""

    step: Literal["prepare", "finalize", "look"]
    count: int
    per: timedelta


Of = Literal["text", "image", "video", "document", "post"]
"""What a limit is of."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of a platform's table of limits, for people; made from the constants that ``problems.py`` checks."""

    of: Of
    rule: str
    """The limited property, for example ``duration``."""
    _: KW_ONLY
    least: float | None = None
    most: float | None = None
    unit: str = ""
    """The unit of *least* and *most*: ``bytes``, ``seconds``, ``pixels``, or a noun; empty for a ratio."""
    values: tuple[str, ...] = ()
    """The allowed values, where they are words."""
    connection: str = ""
    """The connection it holds for; empty: all."""
    is_enforced: bool = True
    """False: a post that exceeds it is published all the same, shortened, in another form, or with a warning."""

    @classmethod
    def between(cls, of: Of, rule: str, span: tuple[float, float], unit: str = "", **more: Any) -> Limit:
        """Return the row of a property with a least and a most value."""
        return cls(of, rule, least=span[0], most=span[1], unit=unit, **more)


Ratio = tuple[float, float]
"""The least and the most width : height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRule:
    """The limits of one image; ``limits.py`` names the source of each. None: no known limit."""

    types: tuple[str, ...]
    bytes: int | None = None
    long_side: int | None = None
    """Pixels, as are the next two."""
    short_side: int | None = None
    area: int | None = None
    ratio: Ratio | None = None
    """As documented; images are padded or cropped to it."""
    reported_ratio: Ratio | None = None
    """A wider range that third parties report the platform to take: with a warning."""
    slack: float = 0.0
    """How far a ratio may be outside: rounding to whole pixels is no reason to refuse."""
    converted_width: int | None = None
    """The width that the platform itself scales to: an image that is converted gets no more. Wider ones still fit."""
    is_pulled: bool = False
    """The platform fetches images from their URLs."""

    def takes_ratio(self, found: float, *, documented: bool = False) -> bool:
        """Return True if an image of this width : height is taken; ``documented``: by the vendor's own page."""
        allowed = self.ratio if documented else self.reported_ratio or self.ratio
        return allowed is None or allowed[0] - self.slack <= found <= allowed[1] + self.slack


def count_utf16_units(text: str) -> int:
    """Return the number of UTF-16 code units of *text*; an emoji counts as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_text(text: str, limit: int, measure: Callable[[str], int] = count_utf16_units) -> str:
    """Return at most *limit* units of the text, cut after a whole word if there is one, never inside a character."""
    head = _take_units(text, limit, measure)
    if len(head) < len(text) and not text[len(head)].isspace():
        before = next((head[:end] for end in range(len(head) - 1, 0, -1) if head[end].isspace()), "")
        head = before if before.strip() else head
    return head.rstrip() if len(head) < len(text) else head


def _take_units(text: str, limit: int, measure: Callable[[str], int]) -> str:
    length = 0
    for index, character in enumerate(text):
        length += measure(character)
        if length > limit:
            return text[:index]
    return text
