"""Test the arithmetic of figures, and the table."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import MEASUREMENTS
from tests.bench.figures import Figure, InvalidMeasurement, compute_rate, compute_steady_rate, percentile
from tests.bench.meaning import MEANING
from tests.bench.table import format_lines, report


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentiles_are_values_that_occurred(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_the_99th_percentile_of_few_values_is_the_largest() -> None:
    assert percentile([3, 1, 2], 0.99) == 3


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(InvalidMeasurement):
        percentile([], 0.5)


def test_the_steady_rate_leaves_start_and_tail_out() -> None:
    moments = [5 + n / 100 for n in range(1000)] + [60.0]  # a slow start, a hundred a second, one straggler
    assert compute_steady_rate(moments) == pytest.approx(100)
    assert compute_rate(0, moments) == pytest.approx(1001 / 60)


def test_the_table_has_value_reference_and_ratio_side_by_side() -> None:
    figure = Figure(
        name="speed", value=150, unit="/s", reference=600, against="nothing to do", detail="p50 1 ms"
    )
    head, _, row, detail = format_lines([figure])
    assert head.split()[:4] == ["figure", "measured", "reference", "ratio"]
    assert row.split() == ["speed", "150", "/s", "600", "/s", "0.25", "nothing", "to", "do"]
    assert detail.strip() == "p50 1 ms"
    assert report([figure], {}, {}, {})["figures"][0]["ratio"] == 0.25


def test_every_measurement_says_what_it_means() -> None:
    assert set(MEANING) == set(MEASUREMENTS)
