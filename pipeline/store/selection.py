"""Selections: conditions of a statement with their values, and the pages of a list by keyset.

A condition whose value is not given is left out, so that the planner sees only the given conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import execute, list_columns, read_all, read_one

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions and their values; as text, the SQL after WHERE."""

    conditions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def __and__(self, other: Where) -> Where:
        """Return the conditions of both."""
        return Where(self.conditions + other.conditions, {**self.values, **other.values})

    def __str__(self) -> str:
        """Return the conditions as SQL."""
        return " AND ".join(self.conditions) or "true"


def where(*conditions: str, **values: Any) -> Where:
    """Return conditions that are always there, and their values."""
    return Where(conditions, values)


def where_given(conditions: Mapping[str, str], **values: Any) -> Where:
    """Return the condition of each value that is given, which None is not. A tuple or a set is bound as an array."""
    given = {
        name: list(value) if isinstance(value, tuple | set | frozenset) else value
        for name, value in values.items()
        if value is not None
    }
    return Where(tuple(sql for name, sql in conditions.items() if name in given), given)


def equal(**values: Any) -> Where:
    """Return the condition that each column has its value."""
    return Where(tuple(f"{name} = :{name}" for name in values), values)


def among(column: str, ids: Collection[UUID] | None, name: str = "within") -> Where:
    """Return the condition that a column is one of these ids, which are bound by a name; None: no condition."""
    given = None if ids is None else list(ids)
    return where_given({name: f"{column} = ANY (CAST(:{name} AS uuid[]))"}, **{name: given})


@dataclass(frozen=True, slots=True)
class Keyset:
    """The order of a list, whose next page begins after the last row of the page before."""

    columns: Mapping[str, str]
    """Column -> its type; no two rows are equal in all of them."""
    descending: bool = False

    @property
    def order(self) -> str:
        """Return the SQL after ORDER BY."""
        return self.sort_by(self.columns)

    def sort_by(self, names: Sequence[str] | Mapping[str, str]) -> str:
        """Return the SQL that sorts by other names of the columns."""
        return ", ".join(f"{name} {'DESC' if self.descending else 'ASC'}" for name in names)

    @property
    def names(self) -> Sequence[str]:
        """Return the names that the values of a place are bound by."""
        return [f"after_{x}" for x in ascii_lowercase[: len(self.columns)]]

    @property
    def beyond(self) -> str:
        """Return the condition on rows after the place that is bound by `names`."""
        pairs = zip(self.names, self.columns.values(), strict=True)
        place = ", ".join(f"CAST(:{name} AS {kind})" for name, kind in pairs)
        return f"({', '.join(self.columns)}) {'<' if self.descending else '>'} ({place})"

    def start_after(self, place: Sequence[Any] | None) -> Where:
        """Return the condition on rows after a place, the last row's values of the columns; None: on no row."""
        if place is None:
            return Where()
        return Where((self.beyond,), dict(zip(self.names, place, strict=True)))


NEWEST = Keyset({"created_at": "timestamptz", "id": "uuid"}, descending=True)
"""The order of lists that begin with what was created last."""


def select(
    c: Connection,
    model: Callable[..., T],
    table: str,
    chosen: Where,
    *,
    by: str | Keyset,
    after: Sequence[Any] | None = None,
    limit: int | None = None,
    lock: str = "",
) -> list[T]:
    """Return the chosen rows of a table in an order, each as a *model*, by the columns of its fields.

    *after*: the place of the last row of the page before. *lock*: such as ``FOR UPDATE``.
    """
    order, own = (by.order, chosen & by.start_after(after)) if isinstance(by, Keyset) else (by, chosen)
    most = "" if limit is None else "LIMIT :most"
    sql = f"SELECT {list_columns(model)} FROM {table} WHERE {own} ORDER BY {order} {most} {lock}"
    return read_all(c, model, sql, **{**own.values, "most": limit})


def find(c: Connection, model: Callable[..., T], table: str, chosen: Where, *, lock: str = "") -> T | None:
    """Return the chosen row of a table as a *model*, by the columns of its fields; None: there is none."""
    sql = f"SELECT {list_columns(model)} FROM {table} WHERE {chosen} {lock}"
    return read_one(c, model, sql, **chosen.values)


def delete_oldest(c: Connection, table: str, old: str, *, by: str, limit: int, **values: Any) -> int:
    """Delete up to *limit* of the rows that are old, the first ones by these columns; return how many."""
    sql = f"""DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                  SELECT ctid FROM {table} WHERE {old} ORDER BY {by} LIMIT :most FOR UPDATE SKIP LOCKED))"""
    return execute(c, sql, **values, most=limit)


def walk_workspaces(table: str, which: str) -> str:
    """Return the recursive query ``w`` of the workspaces with such rows: one index lookup for each, then a NULL."""
    return f"""w AS (
    (SELECT workspace_id FROM {table} d WHERE {which} ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT workspace_id FROM {table} d WHERE {which} AND d.workspace_id > w.workspace_id
            ORDER BY workspace_id LIMIT 1)
    FROM w WHERE w.workspace_id IS NOT NULL)"""
