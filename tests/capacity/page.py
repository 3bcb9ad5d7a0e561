"""Render what was simulated as one page: Markdown for the terminal, HTML with the plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt

from tests.capacity.measure import Check
from tests.capacity.model import Costs, Machines, list_ceilings
from tests.capacity.purchase import MOST_CORES, Cell, Purchase

TEMPLATE = Path(__file__).with_name("page.jinja")
ORIGIN = (
    "1 API process (16 and 64 clients: what a post costs and what a group costs) and from 1 worker process"
)
WIDTH, HEIGHT, EDGE = 720, 420, 60
COLOURS = ("#b3261e", "#8a5a00", "#146c2e", "#1a56c4")
STYLE = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto}td,th{padding:.1em .7em}svg{width:100%}"


def render_text(
    costs: Costs,
    machines: Machines,
    cells: Sequence[Cell],
    purchases: Sequence[Purchase],
    checks: Sequence[Check],
    *,
    share: float,
    target: float,
    load: float,
) -> str:
    """Return the page as Markdown."""
    ceilings = list_ceilings(costs, replace(machines, database_cores=MOST_CORES))
    ends = {name: ceilings[name] for name in ("PostgreSQL's CPU", "PostgreSQL's commits", "broker")}
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(  # noqa: S701  Markdown of our own numbers
        TEMPLATE.read_text(encoding="utf-8")
    )
    return template.render(
        share=f"{share:.0%}",
        cores=machines.database_cores,
        call=f"{machines.call:g}",
        slots=machines.slots,
        group=machines.commit_group,
        target=format_time(target),
        load=f"{load:.2f}",
        origin=ORIGIN,
        cells=[_cell(cell) for cell in cells],
        purchases=[_purchase(one) for one in purchases],
        checks=[_check(one) for one in checks],
        database_ms=f"{costs.database_delivery * 1000:.1f}",
        commits=f"{costs.commits_delivery:.1f}",
        flush_ms=f"{costs.flush * 1000:.2f}",
        most_cores=MOST_CORES,
        cpu_ceiling=format(ends["PostgreSQL's CPU"], ",.0f"),
        commit_ceiling=format(ends["PostgreSQL's commits"], ",.0f"),
        broker_ms=f"{costs.broker_delivery * 1000:.2f}",
        broker_ceiling=format(ends["broker"], ",.0f"),
        narrowest=min(ends, key=lambda name: ends[name]),
    )


def render_html(text: str, cells: Sequence[Cell]) -> str:
    """Return the page with the plot under its title."""
    body = MarkdownIt().enable("table").render(text).replace("</h1>", f"</h1>{render_plot(cells)}", 1)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Slipway: capacity</title>'
        f"<style>{STYLE}</style>{body}</html>\n"
    )


def format_time(seconds: float) -> str:
    """Format with the unit that leaves a small number."""
    for unit, size, below in (("ms", 0.001, 1), ("s", 1, 180), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def render_plot(cells: Sequence[Cell]) -> str:
    """Return an SVG of the lateness's p99 over posts a day, a line for each number of workers; both axes log10."""
    xs = [math.log10(cell.posts_a_day) for cell in cells]
    ys = [math.log10(max(cell.outcome.p99, 0.01)) for cell in cells]
    low, high = math.floor(min(ys)), math.ceil(max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        right = (x - min(xs)) / (max(xs) - min(xs)) * (WIDTH - 3 * EDGE)
        return EDGE + right, HEIGHT - EDGE - (y - low) / (high - low) * (HEIGHT - 2 * EDGE)

    marks = [_write(5, place(0, y)[1], format_time(10.0**y)) for y in range(low, high + 1)]
    marks += [
        _write(place(x, low)[0], HEIGHT - EDGE / 2, f"{10**x:,.0f}")
        for x in range(round(min(xs)), round(max(xs)) + 1)
    ]
    marks.append(_write(EDGE, 20, "99 of 100 posts of 18:00 are visible within; over posts a day"))
    by_workers = sorted(zip(cells, xs, ys, strict=True), key=lambda each: each[0].machines.workers)
    for colour, (workers, line) in zip(
        COLOURS, groupby(by_workers, key=lambda each: each[0].machines.workers), strict=False
    ):
        points = [place(x, y) for _, x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(_write(points[-1][0] + 6, points[-1][1], f"{workers} workers", colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">{"".join(marks)}</svg>'
    )


def _write(x: float, y: float, words: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{words}</text>'


def _cell(cell: Cell) -> dict[str, object]:
    found = cell.outcome
    return {
        "load": f"{cell.posts_a_day:,}",
        "workers": f"{cell.machines.workers:,}",
        "api": cell.machines.api,
        "part": found.saturated,
        "used": f"{found.used[found.saturated]:.0%}",
        "p50": format_time(found.p50),
        "p99": format_time(found.p99),
    }


def _purchase(one: Purchase) -> dict[str, object]:
    return {
        "load": f"{one.posts_a_day:,}",
        "databases": one.databases,
        "cores": one.machines.database_cores,
        "workers": one.machines.workers,
        "api": one.machines.api,
        "p99": format_time(one.p99),
        "part": one.saturated,
    }


def _check(one: Check) -> dict[str, str]:
    return {
        "name": one.name,
        "measured": f"{one.measured:.0f}",
        "simulated": f"{one.simulated:.0f}",
        "error": f"{one.error:.0%}",
    }
