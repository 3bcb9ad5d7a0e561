"""Figures that a measurement yields, each with its reference, and their arithmetic."""

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
    """Description of the reference."""
    detail: str = ""
    """Further numbers, printed below the figure."""
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return self.value / self.reference if self.reference else None


class InvalidMeasurement(Exception):
    """A measurement is invalid: something was lost, doubled, refused, or not durable."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; *share* is in 0..1. Of fewer than 100 values, 0.99 is the largest."""
    if not values:
        raise InvalidMeasurement("There are no values for a percentile.")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def compute_rate(since: float, moments: Sequence[float]) -> float:
    """Return events a second from *since* to the last one."""
    return len(moments) / (max(moments) - since)


def compute_steady_rate(moments: Sequence[float]) -> float:
    """Return events a second between the 10th and 90th per cent of them, without start and tail."""
    ordered = sorted(moments)
    first, last = len(ordered) // 10, len(ordered) * 9 // 10 - 1
    return (last - first) / (ordered[last] - ordered[first])
