"""Format figures as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.figures import Figure

HEAD = ("figure", "measured", "reference", "ratio", "reference is")


def format_lines(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield the lines of the table: one per figure, details below it."""
    cells = [_cells(figure) for figure in figures]
    widths = [max(len(row[n]) for row in [HEAD, *cells]) for n in range(len(HEAD))]
    yield _line(HEAD, widths)
    yield "─" * (sum(widths) + 2 * (len(widths) - 1))
    for figure, row in zip(figures, cells, strict=True):
        yield _line(row, widths)
        if more := "; ".join(
            part for part in (figure.detail, figure.target and f"target: {figure.target}") if part
        ):
            yield f"    {more}"


def report(
    figures: Sequence[Figure],
    meanings: Mapping[str, str],
    machine: Mapping[str, str],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all figures as JSON-compatible data."""
    return {
        "machine": dict(machine),
        **more,
        "meaning": dict(meanings),
        "figures": [asdict(figure) | {"ratio": figure.ratio} for figure in figures],
    }


def format_number(value: float) -> str:
    """Format with three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cells(figure: Figure) -> tuple[str, ...]:
    reference = "" if figure.reference is None else f"{format_number(figure.reference)} {figure.unit}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return figure.name, f"{format_number(figure.value)} {figure.unit}", reference, ratio, figure.against


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left, middle, right = cells[:1], cells[1:4], cells[4:]
    padded = [c.ljust(w) for c, w in zip(left, widths, strict=False)]
    padded += [c.rjust(w) for c, w in zip(middle, widths[1:4], strict=True)]
    return "  ".join([*padded, *right]).rstrip()
