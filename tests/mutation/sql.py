"""Mutants of the SQL in the ledger's modules: mutmut leaves texts of several lines alone, and there the claims are.

Each mutant is one change of one statement: a condition less, a counter that does not count, a time that does not pass,
a lock, an order or an assignment less. What is sent by a function is tried by the tests that go through it.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from queue import SimpleQueue

from tests.mutation.survivors import Mutant

FILES = [Path("pipeline/store") / f"{name}.py" for name in ("deliveries", "lease", "release", "rescue")]
COPIED = ("pipeline", "adapters", "config", "tests", "pyproject.toml", "docker-compose.yml", "README.md")
RESULTS = "sql.json"
PATIENCE = 300
"""Seconds after which a run has hung, which counts as noticed."""
_STATUS = {0: "survived", 1: "killed", 2: "killed", 3: "killed"}

_SPAN = r"(?::\w+|CAST\([^()]*\))"
_VALUE = rf"(?!CASE|coalesce|greatest)(?:now\(\)(?: [+-] {_SPAN})?|{_SPAN}|'[^']*'|[\w.]+(?: \|\| '')?)"
_COMPARED = rf"{_VALUE} (?:=|<>|<=|>=|<|>|IS DISTINCT FROM) {_VALUE}"
_SET = rf"\w+ = {_VALUE}(?: \+ (?:1|:\w+))?"
_CHANGES = {
    # a condition less
    rf"(?<=AND ){_COMPARED}(?=[\s)])": "TRUE",
    rf"(?<=AND \(){_COMPARED}(?=[\s)])": "TRUE",
    rf"(?<=OR ){_COMPARED}(?=[\s)])": "FALSE",
    rf"(?<=WHERE ){_COMPARED}(?=[\s)])": "TRUE",
    r"(?<![:\w.])[\w.]+ IS (?:NOT )?NULL": "TRUE",
    r"(?<![:\w.])(?!NOT)[\w.]+(?: \|\| '')? IN \([^()]*\)": "TRUE",
    r"(?<!NOT )EXISTS (?=\()": "TRUE OR EXISTS ",
    r"(NOT EXISTS \(\s*SELECT FROM \w+(?: \w+)? WHERE )": r"\1FALSE AND ",
    # one of several
    r"(?<=IN \()'\w+', ": "",
    r"(?<=')(, '\w+')(?=[,)])": "",
    # a counter that does not count, a time that does not pass
    r" \+ 1\b": "",
    r" [+-] (?::\w+|CAST\(:\w+ AS interval\))": "",
    # a lock less, an order less
    r" FOR UPDATE(?: OF \w+)?(?: SKIP LOCKED)?": "",
    r" SKIP LOCKED": "",
    r" ORDER BY [\w.]+(?:, [\w.]+)*": "",
    # an assignment less
    rf"(?<=SET ){_SET}, ": "",
    rf", {_SET}(?=[\s,])": "",
    r"coalesce\(([\w.]+), [^()]*(?:\(\))?\)": r"\1",
    # one arm of a case
    r"WHEN (?:NOT )?:\w+(?: (?:NOT )?(?:=|IN) (?:'[^']*'|\([^()]*\)))?": "WHEN FALSE",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One mutant: ``old`` stands at ``start`` of the file's text and becomes ``new``. `users`: who sends it."""

    file: Path
    where: str
    users: frozenset[str]
    start: int
    old: str
    new: str

    @property
    def name(self) -> str:
        """As its result is kept."""
        return f"{self.where} {self.start}: {self.old} → {self.new}"

    def applied(self) -> str:
        """The file's text with this change."""
        text = self.file.read_text()
        return text[: self.start] + self.new + text[self.start + len(self.old) :]

    def mutant(self, status: str) -> Mutant:
        """What became of it, as those of mutmut are told."""
        text, row = self.file.read_text(), self.applied().count("\n", 0, self.start)
        old, new = (whole.split("\n")[row].strip() for whole in (text, self.applied()))
        return Mutant(name=self.name, where=self.where, status=status, old=old, new=new)


def changes() -> list[Change]:
    """All of them, in the order of the files."""
    return [change for file in FILES for change in _of_file(file)]


def tried(some: Sequence[Change], folder: Path, at_once: int) -> None:
    """Tries each, so many at once, in copies of the repository in `folder`, where the results are kept too."""
    tests = _tests_of(folder / "mutmut-stats.json")
    copies: SimpleQueue[Path] = SimpleQueue()
    for n in range(at_once if some else 0):
        copies.put(_copied(folder / f"sql-{n}"))
    known = _results(folder)
    with ThreadPoolExecutor(at_once) as pool:
        ends = pool.map(partial(_try, tests, copies), some)
        for n, (change, status) in enumerate(zip(some, ends, strict=True), 1):
            known[change.name] = status
            (folder / RESULTS).write_text(json.dumps(known, indent=1))
            print(f"{n}/{len(some)} {status}: {change.where}  {change.old} → {change.new}", flush=True)


def mutants(folder: Path) -> list[Mutant]:
    """What is known of all of them."""
    known = _results(folder)
    return [change.mutant(known.get(change.name, "not checked")) for change in changes()]


def _results(folder: Path) -> dict[str, str]:
    kept = folder / RESULTS
    known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    return known


def _tests_of(stats: Path) -> dict[str, list[str]]:
    """Which tests go through which function, as mutmut has seen it: ``pipeline.store.lease.extend`` -> node ids."""
    known = json.loads(stats.read_text())["tests_by_mangled_function_name"]
    return {name.replace(".x_", "."): sorted(tests) for name, tests in known.items()}


def _try(tests: Mapping[str, Sequence[str]], copies: SimpleQueue[Path], change: Change) -> str:
    module = ".".join(change.file.with_suffix("").parts)
    nodes = sorted(set(chain.from_iterable(tests.get(f"{module}.{user}", ()) for user in change.users)))
    if not nodes:
        return "no tests"
    copy = copies.get()
    try:
        (copy / change.file).write_text(change.applied())
        return _status(copy, nodes)
    finally:
        shutil.copy2(change.file, copy / change.file)
        copies.put(copy)


def _status(copy: Path, nodes: Sequence[str]) -> str:
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *nodes]
    try:
        ran = subprocess.run(pytest, check=False, cwd=copy, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return "timeout"
    if ran.returncode not in _STATUS:
        raise RuntimeError(f"pytest could not run (status {ran.returncode}):\n{ran.stdout}\n{ran.stderr}")
    return _STATUS[ran.returncode]


def _copied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if Path(name).is_dir() else shutil.copy2
        copy(name, folder / name)
    return folder


def _of_file(file: Path) -> Iterator[Change]:
    raw = file.read_bytes()
    tree = ast.parse(raw)
    for owner, node in _statements(tree):
        first, sql = _place(raw, node)
        for pattern, new in _CHANGES.items():
            for m in re.finditer(pattern, sql):
                yield Change(
                    file=file, where=f"{'.'.join(file.with_suffix('').parts[1:])}.{owner}",
                    users=frozenset(_users(tree, owner)), start=first + m.start(), old=m[0], new=m.expand(new),
                )  # fmt: skip


def _place(raw: bytes, node: ast.expr) -> tuple[int, str]:
    """Where a text begins in the file, in letters, and the text; Python's parser counts bytes."""
    lines = raw.splitlines(keepends=True)
    begin = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    return len(raw[:begin].decode()), raw[begin:end].decode()


def _statements(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Each text with SQL in it, and the name of the constant or function that it belongs to."""
    for top in tree.body:
        name = (
            top.targets[0].id
            if isinstance(top, ast.Assign) and isinstance(top.targets[0], ast.Name)
            else None
        )
        owner = name or getattr(top, "name", None)
        if owner:
            yield from ((str(owner), node) for node in _texts(top) if _is_sql(node))


def _texts(top: ast.AST) -> Iterator[ast.expr]:
    """The texts under a node, those with values in them as one."""
    for node in ast.iter_child_nodes(top):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            yield node
        else:
            yield from _texts(node)


def _is_sql(node: ast.expr) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str))
    return bool(re.search(r"\b(?:SELECT|UPDATE|INSERT) ", text))


def _users(tree: ast.Module, owner: str) -> Iterator[str]:
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and (
            top.name == owner or any(isinstance(n, ast.Name) and n.id == owner for n in ast.walk(top))
        ):
            yield top.name
