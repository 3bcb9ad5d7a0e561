"""Find every sentence by which the source refuses a request, in its syntax trees.

A sentence is what a refusal's message can be: ``{}`` stands for each value in it. Names are followed to the strings
they are given in their function, their module, or the module they are imported from, and calls of functions of the same
module to what these return or yield. What cannot be followed is a `Sentence` without text, named by its expression.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.pipeline.api.running_server import ROOT

MAKERS: Mapping[str, tuple[str, int]] = {
    "Refusal": ("message", 2),
    "HttpRefusal": ("message", 2),
    "build_refusal": ("message", 1),
    "build_issue": ("message", 1),
    "PydanticCustomError": ("message_template", 1),
    "url_error": ("message", 0),
    "ValueError": ("", 0),
    "InvalidTimestamp": ("", 0),
    "MediaConflict": ("message", 1),
    "InvalidCell": ("message", 0),
    "InvalidJson": ("", 0),
    "InvalidPostingTimes": ("", 1),
    "UnknownZone": ("", 0),
    "refuse": ("message", 1),
}
"""Makers of refusals, with the name and the position of the argument that holds the sentence."""
CODES: Mapping[str, tuple[str, int]] = {
    "Refusal": ("code", 1),
    "HttpRefusal": ("code", 1),
    "build_refusal": ("code", 2),
}
"""Where a maker's error code stands."""
FOLDERS = ("adapters", "pipeline")
ELSEWHERE = (
    "adapters/sandbox/",
    "pipeline/cli/",
    "pipeline/dashboard/",
    "pipeline/embedded/",
    "pipeline/mcp/",
)
"""Folders whose sentences no client of the HTTP API reads."""
MAX_DEPTH = 4


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Sentence:
    """One message at one place. ``text`` is empty if the expression cannot be followed."""

    text: str
    file: str
    function: str
    code: str = ""
    expression: str = ""


def find_sentences() -> set[Sentence]:
    """Return the sentences of all refusals."""
    return {sentence for path in list_sources() for sentence in _Module.read(path).find_sentences()}


def list_sources() -> Iterator[Path]:
    """Yield the modules whose refusals clients of the API read."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not str(path.relative_to(ROOT)).startswith(ELSEWHERE):
                yield path


def name_call(call: ast.Call) -> str:
    """Return the last name of what is called, without underscores before it."""
    function = call.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return name.lstrip("_")


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True, eq=False)
class _Module:
    file: str
    functions: Mapping[str, Function]
    constants: Mapping[str, Sequence[ast.expr]]
    calls: Sequence[tuple[Function | None, ast.Call]]

    @staticmethod
    @cache
    def read(path: Path) -> _Module:
        tree = ast.parse(path.read_text())
        calls: list[tuple[Function | None, ast.Call]] = []
        functions: dict[str, Function] = {}

        def walk(node: ast.AST, within: Function | None) -> None:
            if isinstance(node, Function):
                within = within or node
                functions.setdefault(node.name, node)
            if isinstance(node, ast.Call) and name_call(node) in MAKERS:
                calls.append((within, node))
            for child in ast.iter_child_nodes(node):
                walk(child, within)

        walk(tree, None)
        constants = {**list_imported(tree), **list_assigned(tree.body)}
        return _Module(
            file=str(path.relative_to(ROOT)), functions=functions, constants=constants, calls=calls
        )

    def find_sentences(self) -> Iterator[Sentence]:
        for within, call in self.calls:
            maker = name_call(call)
            expression = _find_argument(call, *MAKERS[maker])
            if expression is None:
                continue
            code = _find_argument(call, *CODES[maker]) if maker in CODES else None
            scope = list_assigned(ast.walk(within)) if within else {}
            codes = [*self.list_texts(code, scope, MAX_DEPTH)] if code is not None else []
            about = {
                "file": self.file,
                "function": within.name if within else "",
                "code": codes[0] or "" if codes else "",
            }
            for text in self.list_texts(expression, scope, MAX_DEPTH):
                yield Sentence(text=text or "", expression="" if text else ast.unparse(expression), **about)

    def list_texts(
        self, node: ast.expr, scope: Mapping[str, Sequence[ast.expr]], depth: int
    ) -> Iterator[str | None]:
        """Yield each text that the expression can be, None for what cannot be followed."""
        if isinstance(node, ast.Constant):
            yield node.value if isinstance(node.value, str) else None
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.IfExp):
            yield from self.list_texts(node.body, scope, depth)
            yield from self.list_texts(node.orelse, scope, depth)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            for left in self.list_texts(node.left, scope, depth):
                for right in self.list_texts(node.right, scope, depth):
                    yield (left or "{}") + (right or "{}")
        else:
            found = self._follow(node, scope) if depth else []
            for one, inner in found:
                yield from self.list_texts(one, inner, depth - 1)
            if not found:
                yield None

    def _follow(
        self, node: ast.expr, scope: Mapping[str, Sequence[ast.expr]]
    ) -> list[tuple[ast.expr, Mapping[str, Sequence[ast.expr]]]]:
        if isinstance(node, ast.Name):
            return [(one, scope) for one in scope.get(node.id) or self.constants.get(node.id, ())]
        if isinstance(node, ast.Subscript | ast.Attribute):  # a table of sentences
            table = node.value
            if isinstance(node, ast.Subscript) and isinstance(table, ast.Name):
                rows = self.constants.get(table.id, ())
                return [(v, scope) for row in rows if isinstance(row, ast.Dict) for v in row.values]
        if isinstance(node, ast.Call) and (function := self.functions.get(getattr(node.func, "id", ""))):
            inner = list_assigned(ast.walk(function))
            returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return | ast.Yield)]
            return [(value, inner) for value in returned if value is not None and not _is_none(value)]
        return []


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _find_argument(call: ast.Call, name: str, place: int) -> ast.expr | None:
    named = next((k.value for k in call.keywords if k.arg == name), None)
    if named is None and len(call.args) > place:
        return call.args[place]
    return named


def list_assigned(nodes: Iterator[ast.AST] | Sequence[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return what is given to each name, by assignments of one or of several names, and by := ."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs += _pair(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            pairs.append((node.target, node.value))
        for target, value in pairs:
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append(value)
    return found


def _pair(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [*zip(target.elts, value.elts, strict=False)]
    return [(target, value)]


def list_imported(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Return what the names that the module imports are given in their own module."""
    found: dict[str, list[ast.expr]] = {}
    for node in tree.body:
        source = ROOT / f"{(getattr(node, 'module', None) or '-').replace('.', '/')}.py"
        if isinstance(node, ast.ImportFrom) and source.is_file():
            constants = list_assigned(ast.parse(source.read_text()).body)
            found |= {n.asname or n.name: constants[n.name] for n in node.names if n.name in constants}
    return found
