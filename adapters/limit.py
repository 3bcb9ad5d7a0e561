"""Limits as data: how often a platform may be called, and what it takes, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most ``count`` calls of ``step`` in ``per`` for one account; ``limits.py`` names source and date."""

    step: Literal["prepare", "finalize", "look"]
    count: int
    per: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One row of a platform's table of limits, for people; made from the constants that ``problems.py`` checks."""

    of: Literal["text", "image", "video", "post"]
    rule: str
    """What is limited, for example ``duration``."""
    least: float | None = None
    most: float | None = None
    unit: str = ""
    """Of *least* and *most*: ``bytes``, ``seconds``, ``pixels``, or a noun; empty for a ratio."""
    values: tuple[str, ...] = ()
    """The allowed values, where they are words."""
    connection: str = ""
    """The connection it holds for; empty: all."""
    is_enforced: bool = True
    """False: what exceeds it is published all the same, shortened, in another form, or with a warning."""
