"""All SQL is in ``pipeline.store``: other product code imports no more of SQLAlchemy than the type of a connection."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
TYPES = {("sqlalchemy", "Connection")}
ROW_HELPERS = {
    "row",
    "rows",
    "run_many",
    "execute",
    "require_value",
    "read_column",
    "read_one",
    "insert",
    "has_row",
    "require_row",
    "find_value",
    "read_number",
    "read_all",
}
"""What executes a statement, in ``pipeline.store.database``."""
MANAGES_SERVERS = {Path("pipeline/embedded/postgres.py")}
"""Creates the database itself, before there is a store."""
STATEMENT = re.compile(
    r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s+\S+[\s\S]*(FROM|SET|VALUES|AS \()"
)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for top in ("pipeline", "adapters", "config"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT)
            if not name.is_relative_to("pipeline/store") and name not in MANAGES_SERVERS:
                yield name, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "*") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_only_the_store_imports_sqlalchemy_and_psycopg() -> None:
    found = {
        f"{name} imports {what} of {module}"
        for name, tree in modules()
        for module, what in imported(tree)
        if module.partition(".")[0] in {"sqlalchemy", "psycopg", "alembic"} and (module, what) not in TYPES
    }
    assert found == set()


def test_only_the_store_executes_statements() -> None:
    found = {
        f"{name} imports {what}"
        for name, tree in modules()
        for module, what in imported(tree)
        if module == "pipeline.store.database" and what in ROW_HELPERS
    }
    assert found == set()


def test_only_the_store_contains_statements() -> None:
    found = {
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value)
    }
    assert found == set()
