"""Results of the mutants, and which survivors ``tests/MUTANTS.md`` lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

LIST = Path(__file__).parent.parent / "MUTANTS.md"
UNTRIED = "not checked"
DEAD = {"killed", "timeout", "caught by type check"}
_ENTRY = re.compile(r"^ {4}(\S+) {2,}(.+)$")
_LITERAL = re.compile(r'"[^"]*"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """One change of one function. `where`: ``domain.retry_policy.evaluate_error``; old, new: the differing lines."""

    name: str
    where: str
    status: str
    old: str = ""
    new: str = ""

    @property
    def alive(self) -> bool:
        """No test failed and no type error appeared."""
        return self.status not in DEAD

    @property
    def only_wording(self) -> bool:
        """Only the letters of sentences changed (mutmut writes capitals, small letters, or XX around them)."""
        if self.new.replace("XX", "").casefold() != self.old.casefold():
            return False
        before, after = _LITERAL.findall(self.old), _LITERAL.findall(self.new)
        return all(" " in one for one, other in zip(before, after, strict=True) if one != other)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An entry of the list: a function and the changed part of a line; after an arrow, a part of the new line."""

    where: str
    change: str

    def names(self, mutant: Mutant) -> bool:
        """Return True if the entry describes `mutant`."""
        old, _, new = self.change.partition(" → ")
        changed = old in mutant.old and old not in mutant.new
        return mutant.where == self.where and changed and new in mutant.new


def list_entries(path: Path = LIST) -> list[Listed]:
    """Return the entries of the list: its lines indented by four spaces."""
    found = [_ENTRY.match(line) for line in path.read_text().splitlines()]
    return [Listed(where=m[1], change=m[2].strip()) for m in found if m]


def unexplained(found: Sequence[Mutant], entries: Sequence[Listed]) -> list[Mutant]:
    """Return survivors that no entry describes (changed wording aside), and mutants without a result."""
    return [
        m
        for m in found
        if m.alive
        and (m.status == UNTRIED or not (m.only_wording or any(entry.names(m) for entry in entries)))
    ]


def list_mutants() -> list[Mutant]:
    """Return all mutants as ``mutants/`` stores them; survivors with their change."""
    found = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        found += [
            _mutant(name, status_by_exit_code[code], path) for name, code in data.exit_code_by_key.items()
        ]
    return found


def describe(mutant: Mutant) -> str:
    """Return the lines that report a survivor."""
    return f"{mutant.status}: {mutant.name}\n    {mutant.where}  {mutant.old} → {mutant.new}"


def _mutant(name: str, status: str, path: Path) -> Mutant:
    if status in DEAD:
        return Mutant(name=name, where=_where(name), status=status)
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    old, new = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Mutant(name=name, where=_where(name), status=status, old=old, new=new)


def _where(name: str) -> str:
    """``pipeline.stages.publish.xǁPublishSliceǁrun__mutmut_3`` is a mutant of ``stages.publish.PublishSlice.run``."""
    module, _, mangled = name.partition("__mutmut_")[0].rpartition(".")
    function = mangled.removeprefix("x_") if mangled.startswith("x_") else mangled[2:].replace("ǁ", ".")
    return f"{module.removeprefix('pipeline.')}.{function}"
