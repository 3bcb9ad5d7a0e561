"""`python -m tests.mutation [NAME …] [--sql PATTERN …] [--alive]`: break the code in every small way, one by one.

Without arguments everything is broken anew. With names (as `mutmut results` prints them, or patterns of them), patterns
of statements (``store.deliveries._ARM``) or ``--alive`` only those, with what an earlier run saw of which test goes
where. ``--left`` goes on where a run was broken off: of what is named, or of all, only what no run has come to yet.
Exit status: 0, or 1 when a mutant lives that ``tests/MUTANTS.md`` does not list.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.embedded.postgres import Postgres
from tests.conftest import SHARED, fast_folder, make_template
from tests.mutation import sql
from tests.mutation.survivors import UNTRIED, Listed, Mutant, listed, mutants, said, unexplained

FOLDER = Path("mutants")


def main() -> int:
    """Runs the mutants on one server, then judges."""
    wanted = _arguments()
    named = bool(wanted.names or wanted.sql)
    some = named or wanted.alive or wanted.left
    if not some:
        shutil.rmtree(FOLDER, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="slipway-mutation-", dir=fast_folder()))
    try:
        with Postgres(folder) as postgres:
            make_template(postgres)
            os.environ[SHARED] = str(folder)
            if names := _names(wanted) if some else ["*"]:
                _python(names, wanted.at_once)
            if wanted.sql or not wanted.names:
                sql.tried(_statements(wanted), FOLDER, wanted.at_once)
    finally:
        shutil.rmtree(folder)
    return report([*mutants(), *sql.mutants(FOLDER)], listed(), whole=not named)


def _names(wanted: argparse.Namespace) -> list[str]:
    """Of the Python code; names and patterns of them."""
    if not wanted.left:
        return [*wanted.names, *(m.name for m in unexplained(mutants(), listed()) if wanted.alive)]
    patterns = wanted.names or ([] if wanted.sql else ["*"])
    return [
        m.name for m in mutants() if m.status == UNTRIED and any(fnmatchcase(m.name, p) for p in patterns)
    ]


def _python(names: Sequence[str], at_once: int) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where mutmut finds mypy, too
    options = f"{os.environ.get('PYTEST_ADDOPTS', '')} -p tests.mutation.nearest"
    subprocess.run(
        ["mutmut", "run", "--max-children", str(at_once), *names],  # noqa: S607
        check=True,
        env={**os.environ, "PATH": path, "PYTEST_ADDOPTS": options},
    )


def _statements(wanted: argparse.Namespace) -> list[sql.Change]:
    patterns = wanted.sql or ([] if wanted.alive else ["*"])
    known = {m.name: m for m in sql.mutants(FOLDER)}
    alive = {m.name for m in unexplained([*known.values()], listed()) if wanted.alive}
    some = [c for c in sql.changes() if c.name in alive or any(fnmatchcase(c.where, p) for p in patterns)]
    return [c for c in some if known[c.name].status == UNTRIED] if wanted.left else some


def report(found: Sequence[Mutant], entries: Sequence[Listed], *, whole: bool) -> int:
    """Says how the mutants ended; 1 when one lives, or was not tried, that is on no list."""
    print("\n" + ", ".join(f"{n} {status}" for status, n in Counter(m.status for m in found).most_common()))
    alive = [m for m in found if m.alive and (whole or m.status != UNTRIED)]
    unlisted = unexplained(alive, entries)
    for entry in entries if whole else ():
        if not any(entry.names(m) for m in alive):
            print(f"MUTANTS.md lists what does not live any more: {entry.where}  {entry.change}")
    for mutant in unlisted:
        print(said(mutant))
    print(f"{len(alive)} live, {len(unlisted)} of them on no list")
    return 1 if unlisted else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: make mutation ARGS=\"'pipeline.domain.retry_policy.*' --sql store.deliveries._ARM\"",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants of the Python code")
    parser.add_argument(
        "--sql", action="append", metavar="PATTERN", help="statements whose mutants are tried"
    )
    parser.add_argument(
        "--alive",
        action="store_true",
        help="what lived on no list, or was not reached, when it was last tried",
    )
    parser.add_argument("--left", action="store_true", help="only what no run has come to yet")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="so many at a time (default: 2)")
    found = parser.parse_args()
    found.left = found.left and FOLDER.exists()  # without a run before, all of it is left
    return found


if __name__ == "__main__":
    sys.exit(main())
