"""Say what saturates first, from 1 to 1,000 workers and ten thousand to 100 million posts a day.

Without --costs, this machine's costs are measured first (six minutes) and the simulation is held to three measured
points: the exit status is 1 if it misses one by 20 % or more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tests.capacity.measure import LIMIT, Check, measure
from tests.capacity.model import Costs, Machines
from tests.capacity.page import render_html, render_plot, render_text
from tests.capacity.purchase import choose_purchases, simulate_table

EXAMPLE = """example:
  python -m tests.capacity --json costs.json --html capacity.html
  python -m tests.capacity --costs costs.json --share 0.2 --database-cores 64
"""


def main(words: Sequence[str] | None = None) -> int:
    """Simulate and print the page. Return 1 if the simulation is not held to reality, 2 if the costs are wrong."""
    a = _parse(words)
    load = os.getloadavg()[0]
    try:
        costs, checks = (read_costs(a.costs), []) if a.costs else _measure()
    except (ValueError, OSError) as error:
        print(f"--costs {a.costs}: {error}", file=sys.stderr)
        return 2
    machines = Machines(database_cores=a.database_cores, call=a.call)
    cells = list(simulate_table(costs, machines, a.share))
    purchases = list(choose_purchases(costs, machines, a.share, a.target))
    text = render_text(costs, machines, cells, purchases, checks, share=a.share, target=a.target, load=load)
    print(text)
    for file, written in ((a.html, render_html(text, cells)), (a.plot, render_plot(cells))):
        if file:
            file.write_text(written, encoding="utf-8")
    if a.json:
        found = {
            "costs": asdict(costs),
            "load_at_start": load,
            "checks": [asdict(one) | {"error": one.error} for one in checks],
            "table": [asdict(one) for one in cells],
            "purchases": [asdict(one) for one in purchases],
        }
        a.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return int(any(one.error >= LIMIT for one in checks))


def read_costs(file: Path) -> Costs:
    """Return the costs of a file that --json wrote. Raises ValueError naming field, rule and value; and OSError."""
    try:
        found = TypeAdapter(dict[str, object]).validate_json(file.read_bytes())
        return TypeAdapter(Costs).validate_python(found.get("costs"))
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(["costs", *map(str, wrong["loc"])])
        raise ValueError(f"{where}: {wrong['msg']}; found {wrong['input']!r}") from None


def _measure() -> tuple[Costs, list[Check]]:
    from tests.bench.environment import open_environment
    from tests.bench.scale import FULL

    with open_environment(FULL, lambda said: print(said, file=sys.stderr, flush=True)) as environment:
        return measure(environment)


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.capacity",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--costs", type=Path, metavar="FILE", help="measure nothing: costs of an earlier --json"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write costs, checks and tables as JSON"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the page with its plot")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also write the plot alone, as SVG")
    for name, kind, default, what in (
        ("--share", _positive, 1.0, "share of a day's posts that are due at 18:00"),
        ("--call", _positive, 1.0, "seconds of a platform's call"),
        ("--target", _positive, 600.0, "seconds in which the peak shall be visible, for what to buy"),
        ("--database-cores", int, 16, "cores of PostgreSQL in the table"),
    ):
        parser.add_argument(name, type=kind, default=default, metavar="N", help=f"{what}; default {default}")
    return parser.parse_args(words)


def _positive(word: str) -> float:
    if not float(word) > 0:
        raise argparse.ArgumentTypeError(f"must be above 0; found {word}")
    return float(word)


if __name__ == "__main__":
    os.environ.pop("SLIPWAY_SETTINGS_FILE", None)
    sys.exit(main())
