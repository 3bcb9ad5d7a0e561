"""`python -m tests.mutation [NAME …]`: mutate the code, one change at a time, and run its tests.

Without arguments all mutants run again: mutmut's, then those of the guarded SQL statements. With names (as `mutmut
results` prints them, or patterns) or ``--alive`` only those run, with the test map of an earlier run. ``--sql``: only
mutants of SQL, whose names are as in ``'*.rounds._LOCK__*'``. ``--left`` continues an interrupted run: of the named
mutants, or of all, those without a result. Exit status: 0, or 1 if a mutant survives that ``tests/MUTANTS.md`` does not
list.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tests.conftest import share_postgres
from tests.mutation import sql_mutants
from tests.mutation.survivors import (
    UNTRIED,
    Listed,
    Mutant,
    describe,
    list_entries,
    list_mutants,
    unexplained,
)

FOLDER = Path("mutants")


def main() -> int:
    """Run the mutants on one PostgreSQL server and report."""
    arguments = _parse()
    if arguments.sql:
        return run_sql(arguments)
    some = bool(arguments.names) or arguments.alive or arguments.left
    if not some:
        shutil.rmtree(FOLDER, ignore_errors=True)
    if names := _choose(arguments) if some else ["*"]:
        with share_postgres("slipway-mutation-"):
            _run_mutmut(names, arguments.at_once)
    if arguments.names:
        return report(list_mutants(), list_entries(), whole=False)
    return max(report(list_mutants(), list_python_entries(), whole=True), run_sql(arguments))


def run_sql(arguments: argparse.Namespace) -> int:
    """Run the mutants of SQL and report."""
    results = sql_mutants.list_results(arguments.names)
    wanted = {m.name for m in results}
    if arguments.left:
        wanted = {m.name for m in results if m.status == UNTRIED}
    elif arguments.alive:
        wanted = {m.name for m in unexplained(results, list_sql_entries())}
    mutants = [m for m in sql_mutants.list_sql_mutants() if m.name in wanted]
    with share_postgres("slipway-mutation-"):
        sql_mutants.run(mutants, arguments.at_once)
    return report(sql_mutants.list_results(arguments.names), list_sql_entries(), whole=not arguments.names)


def list_sql_entries() -> list[Listed]:
    """Return the entries of MUTANTS.md that describe mutants of SQL."""
    return [one for one in list_entries() if one.change.endswith(" → TRUE")]


def list_python_entries() -> list[Listed]:
    """Return the other entries."""
    return [one for one in list_entries() if not one.change.endswith(" → TRUE")]


def _choose(arguments: argparse.Namespace) -> list[str]:
    """Return the names of mutants, and patterns of them, to run."""
    if not arguments.left:
        alive = unexplained(list_mutants(), list_entries()) if arguments.alive else []
        return [*arguments.names, *(m.name for m in alive)]
    patterns = arguments.names or ["*"]
    return [
        m.name
        for m in list_mutants()
        if m.status == UNTRIED and any(fnmatchcase(m.name, p) for p in patterns)
    ]


def _run_mutmut(names: Sequence[str], at_once: int) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mutmut finds mypy there, too
    options = f"{os.environ.get('PYTEST_ADDOPTS', '')} -p tests.mutation.nearest"
    subprocess.run(
        ["mutmut", "run", "--max-children", str(at_once), *names],  # noqa: S607
        check=True,
        env={**os.environ, "PATH": path, "PYTEST_ADDOPTS": options},
    )


def report(found: Sequence[Mutant], entries: Sequence[Listed], *, whole: bool) -> int:
    """Print how the mutants ended; return 1 if one that is not listed survived, or (``whole``) did not run."""
    print("\n" + ", ".join(f"{n} {status}" for status, n in Counter(m.status for m in found).most_common()))
    alive = [m for m in found if m.alive and (whole or m.status != UNTRIED)]
    unlisted = unexplained(alive, entries)
    for entry in entries if whole else ():
        if not any(entry.names(m) for m in alive):
            print(f"MUTANTS.md lists a mutant that no longer survives: {entry.where}  {entry.change}")
    for mutant in unlisted:
        print(describe(mutant))
    print(f"{len(alive)} survive, {len(unlisted)} of them not listed")
    return 1 if unlisted else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: make mutation ARGS=\"'pipeline.domain.retry_policy.*'\"",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants, or patterns of their names")
    parser.add_argument(
        "--alive", action="store_true", help="survivors that are not listed, and mutants without a result"
    )
    parser.add_argument("--sql", action="store_true", help="only mutants of guarded SQL statements")
    parser.add_argument("--left", action="store_true", help="only mutants without a result")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="mutants at a time (default: 2)")
    found = parser.parse_args()
    found.left = found.left and FOLDER.exists()  # without an earlier run no mutant has a result
    return found


if __name__ == "__main__":
    sys.exit(main())
