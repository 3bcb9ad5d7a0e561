"""Mutants of guarded statements: one conjunct of a WHERE or ON clause is replaced by TRUE, and its tests run.

Each runs in a copy of the source tree, so that processes which a test starts are mutated too.
"""

from __future__ import annotations

import json
import queue
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.mutation.guarded_statements import find_tests
from tests.mutation.sql_statements import Conjunct, find_statements
from tests.mutation.survivors import UNTRIED, Mutant
from tests.sabotage.lanes import NoVerdict, copy_tree, run_module

RESULTS = Path("mutants", "sql.json")
LIMIT = 900.0
"""Seconds after which a run of a mutant's tests counts as ended by it."""
ENDLESS = "-c statement_timeout=60000"
"""Server option of each connection: a statement without its condition may recurse for ever."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlMutant:
    """A conjunct that is removed. ``name``: ``pipeline.store.webhooks.rounds._LOCK__sql_2``."""

    name: str
    where: str
    path: Path
    conjunct: Conjunct
    tests: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name and the conjunct: a changed statement has no result."""
        return f"{self.name} {self.conjunct.text}"

    def apply(self, source: str) -> str:
        """Return the source of its module without the conjunct."""
        return f"{source[: self.conjunct.start]}TRUE{source[self.conjunct.end :]}"


def list_sql_mutants(root: Path = Path(), patterns: Sequence[str] = ()) -> list[SqlMutant]:
    """Return the mutants of all guarded statements, or those whose name fits a pattern."""
    found = [
        SqlMutant(
            name=f"pipeline.store.{statement.name}__sql_{n}",
            where=f"store.{statement.name}",
            path=statement.path,
            conjunct=conjunct,
            tests=tests,
        )
        for statement in find_statements(root)
        if (tests := find_tests(statement.name, changes=statement.changes))
        for n, conjunct in enumerate(statement.conjuncts, 1)
    ]
    return [m for m in found if not patterns or any(fnmatchcase(m.name, p) for p in patterns)]


def list_results(patterns: Sequence[str] = ()) -> list[Mutant]:
    """Return the mutants with their latest results."""
    stored = _load()
    return [
        Mutant(
            name=m.name,
            where=m.where,
            status=stored.get(m.key, {}).get("status", UNTRIED),
            old=m.conjunct.text,
            new="TRUE",
        )
        for m in list_sql_mutants(patterns=patterns)
    ]


def run(mutants: Sequence[SqlMutant], at_once: int) -> None:
    """Run the tests of these mutants, *at_once* at a time, and store each result as it comes."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def run_one(mutant: SqlMutant) -> tuple[SqlMutant, str, str]:
        tree = free.get()
        try:
            return mutant, *run_mutant(mutant, tree)
        finally:
            free.put(tree)

    with ExitStack() as trees, ThreadPoolExecutor(at_once) as pool:
        for _ in range(at_once):
            free.put(trees.enter_context(copy_tree(None)))
        _require_green(mutants, free)
        for n, (mutant, status, by) in enumerate(pool.map(run_one, mutants), 1):
            _store(mutant, status, by)
            print(f"{n}/{len(mutants)} {status}: {mutant.name}  {mutant.conjunct.text}  {by}", flush=True)


def run_mutant(mutant: SqlMutant, tree: Path) -> tuple[str, str]:
    """Return how the mutant ended, and the test that noticed it."""
    path = tree / mutant.path
    source = path.read_text()
    path.write_text(mutant.apply(source))
    try:
        return _try(mutant.tests, tree, mutant.name)
    finally:
        path.write_text(source)


def _require_green(mutants: Sequence[SqlMutant], trees: queue.SimpleQueue[Path]) -> None:
    """Raise SystemExit if a test fails without any mutant: it would notice each."""
    tree = trees.get()
    for tests in sorted({m.tests for m in mutants}):
        status, by = _try(tests, tree, "")
        if status != "survived":
            raise SystemExit(f"Without a mutant the tests have to pass: {status} {by}")
    trees.put(tree)


def _try(tests: Sequence[str], tree: Path, mutant: str) -> tuple[str, str]:
    """Run tests one folder after the other, until one fails."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "tests.mutation.nearest"]
    variables = {"MUTANT_UNDER_TEST": mutant, "PGOPTIONS": ENDLESS}
    for path in (one for one in tests if (tree / one).exists()):
        try:
            code, output = run_module(["pytest", *options, path], tree, LIMIT, variables)
        except NoVerdict:
            return "timeout", path
        if code == 1:
            return "killed", next(iter(_FAILED.findall(output)), path)
        if code != 0:
            return "suspicious", f"{path}: pytest ended with {code}"
    return "survived", ""


def _store(mutant: SqlMutant, status: str, by: str) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**_load(), mutant.key: {"status": status, "by": by}}, indent=1))


def _load() -> Mapping[str, Mapping[str, str]]:
    found: Mapping[str, Mapping[str, str]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found
