"""`python -m tests.fuzz [--minutes 10] [--seed N] [--reader NAME …] [--folder DIR]`: fuzz the readers of user bytes.

Two readers at a time, each for its share of the minutes, by libFuzzer. What it finds is read once more as a worker
reads it, because a crash in a probe process refuses the file and is no fault of ours; what then is one is kept in the
folder. Exit status: 0, or 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom


def main() -> int:
    """Import the readers with a counter at each of their branches, fuzz, and report."""
    if find_spec("atheris") is None:
        print("Atheris is not installed: it has packages for Linux on x86-64 and Python 3.11 to 3.13.")
        return 2
    import atheris

    print("Importing the readers, with a counter at each branch …", flush=True)
    with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["pipeline"]):
        from tests.fuzz.readers import READERS
    from tests.fuzz.storm import Storm

    arguments = _parse(list(READERS))
    return Storm(arguments.folder, arguments.seed).run(arguments.reader, arguments.minutes * 60)


def _parse(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--minutes", type=float, default=10, help="of wall clock, for all readers together")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1, 2**31), help="repeats a run")
    parser.add_argument("--reader", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--folder", type=Path, default=Path("fuzz-found"), help="of the inputs that are faults"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
