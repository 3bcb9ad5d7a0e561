"""Mutants of the SQL in the ledger's modules: mutmut leaves texts of several lines alone, and there the claims are.

Each mutant is one change of one statement: a condition less, a counter that does not count, a time that does not pass,
a lock, an order or an assignment less. What is sent by a function is tried by the tests that go through it.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from tests.mutation.survivors import UNTRIED, Mutant

MODULES = ("deliveries", "disarming", "late", "lease", "quota", "release", "rescue")
FILES = [Path("pipeline/store", name).with_suffix(".py") for name in MODULES]
OWN = "tests/pipeline/store/"
"""The store's own tests: they are asked first, for they tell soonest."""
RESULTS = "sql.json"
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
    def module(self) -> str:
        """The module's name."""
        return ".".join(self.file.with_suffix("").parts)

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
    """Tries each, so many at once, each in a process of its own that has all tests read already. `folder`: mutmut's."""
    tests = _tests_of(folder / "mutmut-stats.json")
    known = _results(folder)
    pytest.main(["--collect-only", "-qqq", "-p", "no:cacheprovider", *_folders(tests)])
    with get_context("fork").Pool(at_once, maxtasksperchild=1) as pool:
        for n, (change, status) in enumerate(
            zip(some, pool.imap(partial(_try, tests), some), strict=True), 1
        ):
            known[change.name] = status
            (folder / RESULTS).write_text(json.dumps(known, indent=1))
            print(f"{n}/{len(some)} {status}: {change.where}  {change.old} → {change.new}", flush=True)


def mutants(folder: Path) -> list[Mutant]:
    """What is known of all of them."""
    known = _results(folder)
    return [change.mutant(known.get(change.name, UNTRIED)) for change in changes()]


def _results(folder: Path) -> dict[str, str]:
    kept = folder / RESULTS
    known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    return known


def _tests_of(stats: Path) -> dict[str, list[str]]:
    """Map each function (``pipeline.store.deliveries.lease.extend``) to the node ids of the tests that call it."""
    known = json.loads(stats.read_text())["tests_by_mangled_function_name"]
    return {name.replace(".x_", "."): sorted(tests) for name, tests in known.items()}


def _folders(tests: Mapping[str, Sequence[str]]) -> list[str]:
    return sorted({node.partition("::")[0] for nodes in tests.values() for node in nodes})


def _try(tests: Mapping[str, Sequence[str]], change: Change) -> str:
    """In a process of its own: changes the code that is loaded, then runs the tests that go through it."""
    nodes = sorted({node for user in change.users for node in tests.get(f"{change.module}.{user}", ())})
    if not nodes:
        return "no tests"
    _put(change)
    own = [node for node in nodes if node.startswith(OWN)]
    others = [node for node in nodes if node not in own]
    statuses = (_status(some) for some in (own, others) if some)
    return next((status for status in statuses if status != "survived"), "survived")


def _status(nodes: Sequence[str]) -> str:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return _STATUS[pytest.main(["-x", "-q", "-p", "no:cacheprovider", *nodes])]


def _put(change: Change) -> None:
    """Every function of the module, whoever has imported it, and its statements become those of the changed text."""
    loaded = importlib.import_module(change.module)
    fresh: dict[str, Any] = {"__name__": change.module}
    exec(compile(change.applied(), str(change.file), "exec"), fresh)  # noqa: S102
    for name, now in vars(loaded).items():
        if isinstance(now, FunctionType) and now.__module__ == change.module:
            now.__code__ = fresh[name].__code__
        elif isinstance(now, str | dict) and not name.startswith("__"):
            setattr(loaded, name, fresh[name])


def _of_file(file: Path) -> Iterator[Change]:
    raw = file.read_bytes()
    tree = ast.parse(raw)
    for owner, node in _statements(tree):
        first, sql = _place(raw, node)
        for pattern, new in _CHANGES.items():
            for m in re.finditer(pattern, sql):
                yield Change(
                    file=file,
                    where=f"{'.'.join(file.with_suffix('').parts[1:])}.{owner}",
                    users=frozenset(_users(tree, owner)),
                    start=first + m.start(),
                    old=m[0],
                    new=m.expand(new),
                )


def _place(raw: bytes, node: ast.expr) -> tuple[int, str]:
    """Where a text begins in the file, in letters, and the text; Python's parser counts bytes."""
    lines = raw.splitlines(keepends=True)
    begin = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    return len(raw[:begin].decode()), raw[begin:end].decode()


def _statements(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Each text with SQL in it, and the name of the constant or function that it belongs to."""
    for top in tree.body:
        owner = _constant(top) or getattr(top, "name", None)
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
    """The functions that send it, whatever other texts it is part of."""
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and (top.name == owner or _names(top, owner)):
            yield top.name
        elif (name := _constant(top)) is not None and name != owner and _names(top, owner):
            yield from _users(tree, name)


def _constant(top: ast.stmt) -> str | None:
    """The name that a line of the module gives to something."""
    if isinstance(top, ast.Assign) and isinstance(top.targets[0], ast.Name):
        return top.targets[0].id
    return None


def _names(top: ast.stmt, owner: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == owner for node in ast.walk(top))
