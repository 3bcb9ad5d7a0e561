"""`python -m tests.sabotage [VARIANT …] [--lane LANE] [--one-per-lane]`: break the code, and see every lane fail.

Each known broken variant is put alone into a copy of the tree. First the copy is left as it is: then no lane may fail.
Exit status: 0, or 1 if a lane that must fail does not, or has no verdict.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.conftest import share_postgres
from tests.sabotage.lanes import NoVerdict, copy_tree, run_lane
from tests.sabotage.variants import LANES, ONE_PER_LANE, VARIANTS

UNBROKEN = "unbroken"


def main() -> int:
    """Run the lanes, print a line for each, and return the exit status."""
    arguments = _parse()
    lanes: Sequence[str] = arguments.lane or LANES
    names = arguments.names or list(VARIANTS)
    chosen: list[tuple[str, Sequence[str]]]
    if arguments.one_per_lane:
        chosen = [(ONE_PER_LANE[lane], [lane]) for lane in lanes]
    else:
        chosen = [(UNBROKEN, lanes), *((name, lanes) for name in names)]
    with share_postgres("slipway-sabotage-"):
        right = [ok for name, some in chosen for ok in _run(name, some, names)]
    print(f"{right.count(True)} as they must be, {right.count(False)} not")
    return int(not all(right))


def _run(name: str, lanes: Sequence[str], names: Sequence[str]) -> Iterator[bool]:
    """Run these lanes on one variant, and yield whether each says what it must."""
    variant = VARIANTS.get(name)
    with copy_tree(name if variant else None) as tree:
        for lane in lanes:
            must = variant is not None and lane in variant.caught
            if variant is None:
                runs = _collect(lane, names)
            elif must:
                runs = [variant.caught[lane]]
            else:
                print(f"{name:24} {lane:6} not run: {variant.missed[lane]}")
                continue
            for run in runs:
                yield _report(name, lane, run, tree, must=must)


def _report(name: str, lane: str, run: Sequence[str], tree: Path, *, must: bool) -> bool:
    try:
        outcome = run_lane(lane, run, tree)
    except NoVerdict as error:
        print(f"{name:24} {lane:6} NO VERDICT: {error}", flush=True)
        return False
    word = "fails" if outcome.failed else "passes"
    mark = "" if outcome.failed == must else "  BUT MUST " + ("FAIL" if must else "PASS")
    print(f"{name:24} {lane:6} {word} in {outcome.seconds:.0f} s: {outcome.what}{mark}", flush=True)
    return outcome.failed == must


def _collect(lane: str, names: Sequence[str]) -> list[Sequence[str]]:
    """Return the runs of a lane over all these variants, each test once."""
    runs = [tuple(VARIANTS[name].caught[lane]) for name in names if lane in VARIANTS[name].caught]
    if lane == LANES[-1]:
        return list(dict.fromkeys(runs))
    together = tuple(dict.fromkeys(test for run in runs for test in run))
    return [together] if together else []


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make sabotage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: make sabotage ARGS="no-fence --lane chaos"\n\n'
        + "\n".join(f"{name:24} {variant.breaks}" for name, variant in VARIANTS.items()),
    )
    parser.add_argument("names", nargs="*", choices=[*VARIANTS, []], metavar="VARIANT", help="default: all")
    parser.add_argument("--lane", action="append", choices=LANES, help="only this lane; may be repeated")
    parser.add_argument("--one-per-lane", action="store_true", help="one variant for each lane, as in CI")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
