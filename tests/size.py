"""`python -m tests.size`: print how large the project is, per folder, and what may not be passed.

A code line holds code: blanks, comments and docstrings are not counted. ``tests/test_size.py`` holds the ceilings.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
PRODUCT = ("pipeline", "adapters", "config")
CEILINGS: Mapping[str, int] = {
    "code lines of the product": 71_381,
    "Python files of the product": 595,
    "Markdown words": 33_032,
    "lines of tests": 113_752,
}
"""Each change that makes something smaller lowers its ceiling; none is raised without a reason in the commit."""
_NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What a folder holds, with all folders in it. ``lines``: of Python, all of them; ``words``: of Markdown."""

    folder: str
    files: int
    code: int
    lines: int
    words: int


def measure_size(root: Path = ROOT) -> list[Size]:
    """Return the sizes of the product's folders and theirs, of the tests, and of what lies beside them."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = [Path(name) for name in tracked.stdout.split("\0") if name and (root / name).is_file()]
    found: dict[str, list[Path]] = {}
    for path in paths:
        for folder in _list_folders(path):
            found.setdefault(folder, []).append(path)
    return [_measure_folder(root, folder, found[folder]) for folder in sorted(found)]


def total(sizes: Iterable[Size]) -> Mapping[str, int]:
    """Return each figure that has a ceiling."""
    by_folder = {one.folder: one for one in sizes}
    product = [by_folder[folder] for folder in PRODUCT]
    return {
        "code lines of the product": sum(one.code for one in product),
        "Python files of the product": sum(one.files for one in product),
        "Markdown words": sum(one.words for one in sizes if "/" not in one.folder),
        "lines of tests": by_folder["tests"].lines,
    }


def count_code_lines(source: bytes) -> int:
    """Return how many lines of a Python source hold code: neither blank nor comment nor docstring."""
    lines: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _list_docstring_lines(ast.parse(source)))


def _list_docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of strings that stand alone: docstrings, and those of constants and fields."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for one in node.body
        if isinstance(one, ast.Expr)
        and isinstance(one.value, ast.Constant)
        and isinstance(one.value.value, str)
        for line in range(one.lineno, (one.end_lineno or one.lineno) + 1)
    }


def _list_folders(path: Path) -> tuple[str, ...]:
    """Return the folders of a file that are shown: the first, and in the product the second too."""
    first, *rest = path.parts
    if not rest:
        return (".",)
    return (first, f"{first}/{rest[0]}") if first in PRODUCT and len(rest) > 1 else (first,)


@cache
def _count_in_file(path: Path) -> int:
    """Count once: a file is part of its folder, and of the one that holds it."""
    return count_code_lines(path.read_bytes())


def _measure_folder(root: Path, folder: str, paths: Iterable[Path]) -> Size:
    sources = [root / path for path in paths if path.suffix == ".py"]
    return Size(
        folder=folder,
        files=len(sources),
        code=sum(map(_count_in_file, sources)),
        lines=sum(path.read_bytes().count(b"\n") for path in sources),
        words=sum(len((root / path).read_text().split()) for path in paths if path.suffix == ".md"),
    )


def _print_sizes(sizes: Iterable[Size]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("folder", "files", "code lines", "lines", "Markdown words"):
        table.add_column(name, justify="left" if name == "folder" else "right")
    for one in sizes:
        if not (one.files or one.words):
            continue
        table.add_row(one.folder, *(f"{n:,}" for n in (one.files, one.code, one.lines, one.words)))
    console = Console()
    console.print(table)
    console.print()
    for name, count in total(sizes).items():
        console.print(f"{name}: {count:,} of at most {CEILINGS[name]:,}", highlight=False)


def main() -> int:
    """Print the sizes. Exit status 1 if one passes its ceiling."""
    parser = argparse.ArgumentParser(
        prog="make size", description=__doc__, epilog="example: make size ARGS=--json"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    sizes = measure_size()
    found = total(sizes)
    if parser.parse_args().json:
        print(
            json.dumps(
                {"folders": [asdict(one) for one in sizes], "total": found, "ceilings": dict(CEILINGS)}
            )
        )
    else:
        _print_sizes(sizes)
    return int(any(count > CEILINGS[name] for name, count in found.items()))


if __name__ == "__main__":
    sys.exit(main())
