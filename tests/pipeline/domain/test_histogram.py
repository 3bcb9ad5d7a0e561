"""Quantiles of a histogram are estimated as Prometheus does."""

from __future__ import annotations

from math import inf

import pytest

from pipeline.domain.histogram import LATENESS_BOUNDS, estimate_quantile, label_bucket


@pytest.mark.parametrize(
    ("value", "label"), [(0, "0.1"), (0.1, "0.1"), (0.11, "0.25"), (3600, "3600.0"), (3601, "+Inf")]
)
def test_a_value_belongs_to_the_first_bound_that_is_not_below_it(value: float, label: str) -> None:
    assert label_bucket(value) == label


@pytest.mark.parametrize(
    ("counts", "quantile", "expected"),
    [
        ({}, 0.5, None),
        ({"0.25": 0}, 0.5, None),
        ({"0.1": 4}, 0.5, 0.05),
        ({"0.25": 100}, 0.99, 0.1 + 0.15 * 0.99),
        ({"0.1": 50, "1.0": 50}, 0.5, 0.1),
        ({"0.1": 50, "1.0": 50}, 0.75, 0.75),
        ({"0.1": 98, "+Inf": 2}, 0.99, inf),
    ],
)
def test_values_are_spread_evenly_within_a_bucket(
    counts: dict[str, int], quantile: float, expected: float | None
) -> None:
    assert estimate_quantile(counts, quantile) == (None if expected is None else pytest.approx(expected))


def test_a_quantile_is_in_the_bucket_of_its_value() -> None:
    for bound in LATENESS_BOUNDS:
        found = estimate_quantile({label_bucket(bound): 1}, 1)
        assert found == bound
