"""Quantiles of a histogram: counts of values by the upper bound of their bucket."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import inf

LATENESS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds; the upper bounds of the buckets of lateness, in addition to infinity."""


def label_bucket(value: float) -> str:
    """Return the label of the bucket of *value*, as Prometheus writes it: its upper bound, or ``+Inf``."""
    place = bisect_left(LATENESS_BOUNDS, value)
    return str(LATENESS_BOUNDS[place]) if place < len(LATENESS_BOUNDS) else "+Inf"


def estimate_quantile(counts: Mapping[str, int], quantile: float) -> float | None:
    """Return the value below which this share of all values is; None without values, infinity past the last bound.

    *counts*: label -> number. Values are taken to be spread evenly within a bucket, as by Prometheus'
    ``histogram_quantile``.
    """
    rank = quantile * sum(counts.values())
    below, lower = 0, 0.0
    for bound in LATENESS_BOUNDS:
        here = counts.get(str(bound), 0)
        if here and below + here >= rank:
            return lower + (bound - lower) * (rank - below) / here
        below, lower = below + here, bound
    return inf if counts.get("+Inf") else None
