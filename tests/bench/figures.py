"""What a measurement hands back: figures, each with its reference of the same run, and the arithmetic behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured number. ``ratio`` is value over reference."""

    name: str
    value: float
    unit: str
    reference: float | None = None
    against: str = ""
    """What the reference is, in a few words."""
    detail: str = ""
    """What belongs to it and is no figure of its own."""
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return self.value / self.reference if self.reference else None


class InvalidMeasurement(Exception):
    """A measurement that must not be believed: something was lost, doubled, refused, or not durable."""


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; ``share`` is in 0..1. Of fewer than 100 values the 0.99 one is the largest."""
    if not values:
        raise InvalidMeasurement("There is nothing to take a percentile of.")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def compute_rate(since: float, moments: Sequence[float]) -> float:
    """Events a second from ``since`` to the last one."""
    return len(moments) / (max(moments) - since)


def compute_steady_rate(moments: Sequence[float]) -> float:
    """Events a second between the tenth and the ninetieth per cent of them: without start and tail."""
    ordered = sorted(moments)
    first, last = len(ordered) // 10, len(ordered) * 9 // 10 - 1
    return (last - first) / (ordered[last] - ordered[first])
