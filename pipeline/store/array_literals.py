"""PostgreSQL array literals, one text each: the driver's own list adapter costs more than the insert they feed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json


def write_words(values: Iterable[object]) -> str:
    """Write values that need no quotes: numbers and words of the code."""
    return _join(map(str, values))


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


def _join(words: Iterable[str]) -> str:
    return "{" + ",".join(words) + "}"


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
