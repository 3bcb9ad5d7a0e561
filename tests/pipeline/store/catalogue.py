"""Compare two states of a database's catalogue: find what breaks code written for the older one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

_COLUMNS = """
SELECT c.relname AS owner, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS kind, a.attnotnull AS required,
       a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' AS filled
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""
_UNIQUE = """
SELECT indrelid::regclass::text AS owner,
       ARRAY(SELECT pg_get_indexdef(indexrelid, n, true) FROM generate_series(1, indnkeyatts) n ORDER BY 1) AS columns,
       coalesce(pg_get_expr(indpred, indrelid), '') AS predicate
FROM pg_index WHERE indisunique AND indisvalid AND indrelid IN
    (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
"""
_RULES = """
SELECT conrelid::regclass::text AS owner, conname AS name,
       ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)) AS columns
FROM pg_constraint WHERE contype IN ('c', 'f', 'x') AND connamespace = 'public'::regnamespace AND conrelid <> 0
"""
_TRIGGERS = "SELECT tgrelid::regclass::text AS owner, tgname AS name FROM pg_trigger WHERE NOT tgisinternal"
_FILES = """
SELECT oid::regclass::text AS owner, pg_relation_filenode(oid) AS file FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """``filled``: an INSERT that does not name it still gives it a value."""

    kind: str
    required: bool
    filled: bool


@dataclass(kw_only=True)
class Catalogue:
    """The tables of a database, as far as code can depend on them."""

    columns: dict[str, dict[str, Column]] = field(default_factory=dict)
    unique: set[tuple[str, tuple[str, ...], str]] = field(default_factory=set)
    rules: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    triggers: set[tuple[str, str]] = field(default_factory=set)
    files: dict[str, int] = field(default_factory=dict)


def read(c: sa.Connection) -> Catalogue:
    """Read the catalogue, without Alembic's own table."""

    def asked(sql: str) -> list[Any]:
        return [r for r in c.execute(sa.text(sql)) if r.owner != "alembic_version"]

    found = Catalogue()
    for r in asked(_COLUMNS):
        column = Column(kind=r.kind, required=r.required, filled=r.filled)
        found.columns.setdefault(r.owner, {})[r.name] = column
    found.unique = {(r.owner, tuple(r.columns), r.predicate) for r in asked(_UNIQUE)}
    found.rules = {(r.owner, r.name): frozenset(r.columns) for r in asked(_RULES)}
    found.triggers = {(r.owner, r.name) for r in asked(_TRIGGERS)}
    found.files = {r.owner: r.file for r in asked(_FILES)}
    return found


def findings(before: Catalogue, after: Catalogue) -> set[str]:
    """Return what older code misses or violates, and which tables were rewritten; empty for an expand step."""
    return {
        *_columns(before, after),
        *_uniqueness(before, after),
        *(
            f"{t} has a new rule over columns it had: {name}"
            for (t, name), columns in after.rules.items()
            if (t, name) not in before.rules and columns and columns <= before.columns.get(t, {}).keys()
        ),
        *(f"the trigger {name} of {t} is gone" for t, name in before.triggers - after.triggers),
        *(
            f"{t} was rewritten, row by row"
            for t, file in before.files.items()
            if after.files.get(t, file) != file
        ),
    }


def _columns(before: Catalogue, after: Catalogue) -> Iterator[str]:
    for t, old in before.columns.items():
        if t not in after.columns:
            yield f"{t} is gone"
            continue
        new = after.columns[t]
        yield from (f"{t}.{name} is gone" for name in old.keys() - new.keys())
        for name in new.keys() - old.keys():
            if new[name].required and not new[name].filled:
                yield f"{t}.{name} is new and older code does not fill it"
        for name in old.keys() & new.keys():
            yield from _change(f"{t}.{name}", old[name], new[name])


def _change(name: str, old: Column, new: Column) -> Iterator[str]:
    if old.kind != new.kind:
        yield f"{name} was {old.kind} and is {new.kind}"
    if new.required and not old.required:
        yield f"{name} must be filled"
    if old.filled and not new.filled:
        yield f"{name} has lost its default"


def _uniqueness(before: Catalogue, after: Catalogue) -> Iterator[str]:
    for t, columns, predicate in before.unique - after.unique:
        if t in after.columns:  # ON CONFLICT may name it
            yield f"{t} is no longer unique by {', '.join(columns)}{predicate and f' where {predicate}'}"
    for t, columns, _ in after.unique - before.unique:
        if set(columns) <= before.columns.get(t, {}).keys():
            yield f"{t} must be unique by {', '.join(columns)}"
