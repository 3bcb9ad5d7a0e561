"""Find the codes that the source gives to errors and warnings, in its syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.pipeline.api.openapi.refusal_sentences import list_assigned, list_imported
from tests.pipeline.api.running_server import ROOT

_MAKERS = {"_reject": 0, "_need_person": 0, "warn": 0, "ErrorRow": 1}
"""The position of the code among the arguments of functions of adapters whose name ends so."""
_FOLDERS = ("adapters", "pipeline")
_OTHER_CODES = ("adapters/sandbox/", "pipeline/api/", "pipeline/cli/", "pipeline/embedded/")
"""Where `code=` is a platform's, an HTTP status, an error of an answer, or an exit status."""


def find_delivery_codes() -> set[str]:
    """Return the codes of errors at an account."""
    return {code for code in _find_codes() if code.islower()}


def find_warning_codes() -> set[str]:
    """Return the codes of warnings."""
    return {code for code in _find_codes() if code.isupper()}


def _find_codes() -> Iterator[str]:
    for path in _list_sources():
        tree = ast.parse(path.read_text())
        constants = {**list_imported(tree), **list_assigned(tree.body)}
        for node in ast.walk(tree):
            for value in _list_values(node):
                [named, *_] = constants.get(value.id, [value]) if isinstance(value, ast.Name) else [value]
                code = getattr(named, "value", None)
                if isinstance(code, str) and re.fullmatch(r"[A-Za-z]\w{2,}", code):
                    yield code


def _list_sources() -> Iterator[Path]:
    for folder in _FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if not str(path.relative_to(ROOT)).startswith(_OTHER_CODES):
                yield path


def _list_values(node: ast.AST) -> list[ast.expr]:
    """Return the expressions that are codes in this node."""
    if isinstance(node, ast.Call):
        named = [k.value for k in node.keywords if k.arg == "code"]
        maker = node.func.id if isinstance(node.func, ast.Name) else ""
        place = next((place for name, place in _MAKERS.items() if maker.endswith(name)), len(node.args))
        code = node.args[place : place + 1]
        # live checks warn of facts of an account, which are no codes of a post
        is_fact = maker == "warn" and not str(getattr(code[0], "value", "")).isupper()
        return named if is_fact else named + code
    if isinstance(node, ast.ClassDef):
        return [
            item.value
            for item in node.body
            if isinstance(item, ast.Assign) and getattr(item.targets[0], "id", "") == "code"
        ]
    return []
