from __future__ import annotations

import ast
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from tests.mutation.guarded_statements import EXCUSED, GUARDED, find_tests, is_excused
from tests.mutation.nearest import distance
from tests.mutation.sql_mutants import list_sql_mutants
from tests.mutation.sql_statements import STORE, Statement, find_statements, list_conjuncts, parse_module

ROOT = Path(__file__).parents[2]
TEXT_ONLY = {"Connection", "Engine", "create_engine", "event", "make_url", "text"}
"""What the store imports of SQLAlchemy: nothing that builds a statement."""


@cache
def read_statements() -> list[Statement]:
    return find_statements(ROOT)


@pytest.mark.parametrize(
    ("sql", "conjuncts"),
    [
        ("SELECT 1 FROM t", []),
        ("DELETE FROM t WHERE a = 1", ["a = 1"]),
        ("UPDATE t SET a = 1, b = 2 WHERE a = :a AND b IS NULL RETURNING a", ["a = :a", "b IS NULL"]),
        ("SELECT 1 FROM t WHERE a BETWEEN 1 AND 2 AND b", ["a BETWEEN 1 AND 2", "b"]),
        ("SELECT 1 FROM t WHERE (a OR b) AND c ORDER BY d LIMIT 1 FOR UPDATE", ["(a OR b)", "c"]),
        ("SELECT 1 FROM t WHERE a AND b OR c", ["a AND b OR c"]),
        ("SELECT 1 FROM t WHERE a = 'x AND y' AND b  -- AND c\n AND d", ["a = 'x AND y'", "b", "d"]),
        ("SELECT 1 FROM t WHERE CASE WHEN a AND b THEN c END AND d", ["CASE WHEN a AND b THEN c END", "d"]),
        ("SELECT 1 FROM t WHERE a IS NOT DISTINCT FROM b AND c", ["a IS NOT DISTINCT FROM b", "c"]),
        ("SELECT 1 FROM t WHERE left(a, 1) = 'x' AND b", ["left(a, 1) = 'x'", "b"]),
        ("SELECT 1 FROM t JOIN u ON a = b AND c = d LEFT JOIN v ON true WHERE e", ["a = b", "c = d", "e"]),
        ("SELECT DISTINCT ON (a) a FROM t WHERE b", ["b"]),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE b DO UPDATE SET c = 1 WHERE d", ["b", "d"]),
        ("SELECT 1 FROM t WHERE a AND NOT EXISTS (SELECT FROM u WHERE u.b AND u.c) UNION SELECT 1 WHERE d",
         ["a", "NOT EXISTS (SELECT FROM u WHERE u.b AND u.c)", "u.b", "u.c", "d"]),
        ("WITH x AS (UPDATE t SET a = 1 WHERE b AND {c['AND']}) SELECT 1 FROM x", ["b", "{c['AND']}"]),
        ("a IS NULL AND b < now()", ["a IS NULL", "b < now()"]),
        ("EXISTS (SELECT FROM t WHERE a AND b)", ["a", "b"]),
        ("Waits for a and b, and where it is.", []),
    ],
)  # fmt: skip
def test_the_conjuncts_of_each_where_and_on_clause_are_found(sql: str, conjuncts: list[str]) -> None:
    assert [one.text for one in list_conjuncts(sql)] == conjuncts
    literal = f'f"""{sql}"""'
    assert [literal[one.start : one.end] for one in list_conjuncts(literal)] == conjuncts


def test_a_statement_is_named_by_its_constant_or_function_and_found_at_its_place() -> None:
    source = '''"""Ätext: UPDATE t WHERE a."""
_SQL = f"""UPDATE t SET a = 'ä' WHERE b = :b AND {C}"""
C: str = "d AND e"
def run(c):
    """DELETE FROM t WHERE a."""
    row(c, "SELECT id FROM t FOR UPDATE")
    row(c, f"SELECT {x} FROM t WHERE ü = 1" + "")
    row(c, "DELETE FROM t WHERE f")
'''
    found = parse_module(source, STORE / "some" / "module.py")
    assert [(one.name, one.changes, [c.text for c in one.conjuncts]) for one in found] == [
        ("some.module._SQL", True, ["b = :b", "{C}"]),
        ("some.module.C", False, ["d", "e"]),
        ("some.module.run", True, []),
        ("some.module.run#2", False, ["ü = 1"]),
        ("some.module.run#3", True, ["f"]),
    ]
    assert [source[c.start : c.end] for one in found for c in one.conjuncts] == [
        c.text for one in found for c in one.conjuncts
    ]


def test_every_statement_that_changes_or_locks_rows_is_guarded_or_excused() -> None:
    """For a new one: add its name to ``GUARDED`` with the tests that notice, or to ``EXCUSED`` with the reason."""
    guarding = {one.name for one in read_statements() if one.changes and one.conjuncts}
    assert {name for name in guarding if not find_tests(name) and not is_excused(name)} == set()
    assert {name for name in guarding if find_tests(name) and is_excused(name)} == set()


def test_the_lists_name_only_statements_and_tests_that_are_there() -> None:
    names = [one.name for one in read_statements()]
    patterns = [*EXCUSED, *(pattern for some in GUARDED.values() for pattern in some)]
    assert [p for p in patterns if not any(fnmatchcase(name, p) for name in names)] == []
    assert [path for tests in GUARDED for path in tests if not (ROOT / path).exists()] == []
    assert all(reason.strip() for reason in EXCUSED.values())


def test_no_statement_of_the_store_is_an_expression_of_sqlalchemy() -> None:
    """The mutator reads SQL text: what SQLAlchemy would build has no WHERE in the source."""
    found = {
        f"{path.relative_to(ROOT)}: {node.module}.{alias.name}"
        for path in (ROOT / STORE).rglob("*.py")
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sqlalchemy"
        for alias in node.names
        if node.module != "sqlalchemy.exc" and alias.name not in TEXT_ONLY
    } | {
        str(path.relative_to(ROOT))
        for path in (ROOT / STORE).rglob("*.py")
        if "migrations" not in path.parts and "import sqlalchemy" in path.read_text()
    }
    assert found == set()


def test_a_mutant_lacks_one_conjunct_and_is_a_module_still() -> None:
    mutants = list_sql_mutants(ROOT)
    assert len(mutants) > 400
    assert len({m.key for m in mutants}) == len({m.name for m in mutants}) == len(mutants)
    for mutant in mutants:
        source = (ROOT / mutant.path).read_text()
        ast.parse(mutated := mutant.apply(source))
        assert " ".join(mutated.split()) != " ".join(source.split())
        assert distance(ROOT / mutant.tests[0] / "test_x.py", mutant.name) is not None
    [fence] = [
        m
        for m in list_sql_mutants(ROOT, ["pipeline.store.webhooks.rounds._LOCK__sql_*"])
        if "fence" in m.conjunct.text
    ]
    changed = fence.apply((ROOT / fence.path).read_text())
    assert "WHERE id = :id AND TRUE AND paused_at IS NULL" in changed
