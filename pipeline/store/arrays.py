"""Rows of values that a statement reads as a table: an array literal for each column, as one text.

The driver's own list adapter costs more than the insert that it feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from pydantic_core import to_json


class Records:
    """Rows with these columns and types; as text, the SQL after FROM that makes a table ``x`` of them."""

    def __init__(self, columns: str, *, prefix: str = "") -> None:
        """``columns``: as in ``id uuid, text text``; ``prefix``: of the names by which their values are bound.

        A list of ids (``uuid[]``) is a text, which the statement casts.
        """
        self.types = {
            name: kind for name, _, kind in (one.strip().partition(" ") for one in columns.split(","))
        }
        self.columns = ", ".join(self.types)
        self.prefix = prefix

    def __str__(self) -> str:
        """Return the table as SQL."""
        return f"{self._arrays} AS x ({self.columns})"

    @property
    def _arrays(self) -> str:
        kinds = {name: "text" if kind.endswith("[]") else kind for name, kind in self.types.items()}
        return f"unnest({', '.join(f':{self.prefix}{name}::{kind}[]' for name, kind in kinds.items())})"

    def number(self, column: str) -> str:
        """Return the same with one more column, which numbers the rows from 1."""
        return f"{self._arrays} WITH ORDINALITY AS x ({self.columns}, {column})"

    def bind(self, found: Iterable[Any]) -> dict[str, str]:
        """Return the values: *found* are tuples in the order of the columns, or have fields of their names."""
        read = attrgetter(*self.types)
        records = [one if isinstance(one, tuple) else read(one) for one in found]
        columns = zip(*records, strict=True) if records else [()] * len(self.types)
        return {
            f"{self.prefix}{name}": _WRITERS.get(kind, write_words)(column)
            for (name, kind), column in zip(self.types.items(), columns, strict=True)
        }


def write_words(values: Iterable[object]) -> str:
    """Write values that need no quotes: numbers and words of the code."""
    return _join(["NULL" if v is None else str(v) for v in values])


def write_spans(values: Iterable[timedelta | None]) -> str:
    """Write intervals in seconds."""
    return write_words(None if v is None else v.days * 86_400 + v.seconds for v in values)


def write_ids(values: Iterable[UUID | None]) -> str:
    """Write UUIDs without dashes, which PostgreSQL reads as well and which are cheaper to write."""
    return _join(["NULL" if v is None else v.hex for v in values])


def write_texts(values: Iterable[str | None]) -> str:
    """Write texts in quotes."""
    return _join(["NULL" if v is None else _quote(v) for v in values])


def write_jsons(values: Iterable[Any]) -> str:
    """Write values as JSON texts."""
    return _join(["NULL" if v is None else _quote(to_json(v).decode()) for v in values])


def write_times(values: Iterable[datetime | None]) -> str:
    """Write times in UTC; a JSON list of times differs from PostgreSQL's only in its brackets."""
    return "{" + to_json(list(values)).decode()[1:-1] + "}"


def write_bytes(values: Iterable[bytes | None]) -> str:
    r"""Write hexadecimal bytea (``\x…``); within an array its backslash is escaped."""
    return _join(["NULL" if v is None else rf'"\\x{v.hex()}"' for v in values])


def write_id_lists(values: Iterable[Iterable[UUID] | None]) -> str:
    """Write lists of UUIDs, each as a text."""
    return write_texts(None if v is None else write_ids(v) for v in values)


def _join(words: Iterable[str]) -> str:
    return "{" + ",".join(words) + "}"


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: Mapping[str, Callable[[Iterable[Any]], str]] = {
    "uuid": write_ids,
    "uuid[]": write_id_lists,
    "text": write_texts,
    "jsonb": write_jsons,
    "timestamptz": write_times,
    "bytea": write_bytes,
    "interval": write_spans,
}
"""Type -> what writes its values; the others are words."""
