"""Run benchmarks and print a table of figures: `python -m tests.bench [NAME …] [--json FILE] [--quick]`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tests.bench import (
    bulk,
    dashboard,
    deliveries,
    footprint,
    ingest,
    lateness,
    outages,
    reading,
    scrape,
    search,
    streams,
)
from tests.bench.environment import BenchEnvironment, open_environment
from tests.bench.figures import Figure
from tests.bench.machine import CpuUsage, load, machine, warning
from tests.bench.meaning import MEANING
from tests.bench.scale import FULL, LIMIT, LONG_LIMIT, QUICK
from tests.bench.table import format_lines, report

MEASUREMENTS: dict[str, Callable[[BenchEnvironment], Iterator[Figure]]] = {
    "ingest": ingest.measure,
    "deliveries": deliveries.measure,
    "footprint": footprint.measure,
    "lateness": lateness.measure,
    "streams": streams.measure,
    "reading": reading.measure,
    "dashboard": dashboard.measure,
    "search": search.measure,
    "scrape": scrape.measure,
    "outages": outages.measure,
    "bulk": bulk.measure,
}


class MeasurementTimeout(BaseException):
    """A measurement exceeded its time limit. Not an Exception, so that measured code does not catch it."""


def main() -> int:
    """Run the measurements. Return 0, or 1 if one failed; the figures of the others are printed."""
    arguments = _arguments()
    busy, began = load(), time.monotonic()
    when = datetime.now(UTC)
    if said := warning(busy):
        _log(said)
    scale, limit = QUICK if arguments.quick else FULL, LIMIT
    if arguments.posts:
        scale, limit = replace(scale, posts_to_read=arguments.posts), LONG_LIMIT
    if arguments.rows:
        scale, limit = replace(scale, rows_to_plan=arguments.rows), LONG_LIMIT
    if arguments.frozen_beat:
        scale, limit = replace(scale, late_posts=arguments.frozen_beat, freezes_beat=True), LONG_LIMIT
    with open_environment(scale, _log) as environment:
        found, failed, others = _run_measurements(environment, arguments.names or list(MEASUREMENTS), limit)
        about = machine(environment)
    seconds = time.monotonic() - began
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    print(f"load at start {busy:.2f}, now {load():.2f}; {when:%Y-%m-%d %H:%M} UTC, {seconds:.0f} s")
    print(
        "CPU used by other programs: "
        + ", ".join(f"{name} {cores:.2f} cores" for name, cores in others.items())
    )
    print("\n".join(filter(None, [said, "Quick run: too short to quote." * arguments.quick])) + "\n")
    print("\n".join(format_lines(found)) + "\n")
    for name in arguments.names or MEASUREMENTS:
        print(f"{name}: {MEANING[name]}")
    for name, why in failed.items():
        print(f"FAILED {name}: {why}")
    if arguments.json:
        more = {
            "at": when.isoformat(),
            "load_at_start": busy,
            "seconds": seconds,
            "quick": arguments.quick,
            "failed": failed,
            "others_used_cores": others,
        }
        arguments.json.write_text(json.dumps(report(found, MEANING, about, more), indent=2) + "\n")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"measurements to run; default: {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures as JSON")
    parser.add_argument(
        "--quick", action="store_true", help="smaller runs, under three minutes; too short to quote"
    )
    parser.add_argument(
        "--posts",
        type=int,
        metavar="N",
        help="number of posts for `reading`, `search` and `scrape`; 10000000 takes half an hour",
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help="let `bulk` plan a file of so many rows and measure memory"
    )
    parser.add_argument(
        "--frozen-beat",
        type=int,
        metavar="N",
        help="stop beat for `lateness`, and publish this many posts, one a second; 300 take five minutes",
    )
    arguments = parser.parse_args()
    if wrong := [name for name in arguments.names if name not in MEASUREMENTS]:
        parser.error(f"unknown measurement {', '.join(wrong)}; choose from {', '.join(MEASUREMENTS)}")
    return arguments


def _run_measurements(
    environment: BenchEnvironment, names: list[str], limit: float
) -> tuple[list[Figure], dict[str, str], dict[str, float]]:
    found: list[Figure] = []
    failed: dict[str, str] = {}
    others: dict[str, float] = {}
    for name in names:
        began = CpuUsage.now()
        _log(f"{name} …")
        try:
            with _time_limit(limit):
                found.extend(MEASUREMENTS[name](environment))  # figures before a failure are kept
        except (Exception, MeasurementTimeout) as error:  # noqa: BLE001  reported below; the other measurements continue
            failed[name] = f"{type(error).__name__}: {error}"
            _log(f"  FAILED: {failed[name]}")
        ended = CpuUsage.now()
        others[name] = ended.since(began)
        _log(f"  {ended.at - began.at:.0f} s; others used {others[name]:.2f} cores meanwhile")
    return found, failed, others


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise MeasurementTimeout in the block after *seconds*; context managers stop what it started."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise MeasurementTimeout(f"The measurement was stopped after {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _log(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.pop("SLIPWAY_SETTINGS_FILE", None)
    sys.exit(main())
