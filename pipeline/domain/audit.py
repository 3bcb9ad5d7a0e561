"""The content of an audit row: the actor who made a change, and the changed fields before and after, bounded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

ActorKind = Literal["user", "key", "command line", "system"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who makes a change, and from where."""

    kind: ActorKind
    name: str
    """A user's login, a key's public id, the account of the machine at the command line."""
    id: UUID | None = None
    """The id of the user or the key."""
    address: str | None = None
    """The client's address as the API sees it; at the command line ``account@machine``."""
    request_id: str | None = None

    @property
    def label(self) -> str:
        """How histories that customers read name the actor."""
        if self.kind == "command line":
            return "the command line"
        return f"key {self.id}" if self.kind == "key" and self.id is not None else self.name


OPERATOR_TOKEN = Actor(kind="key", name="the operator")
"""The operator API's token, which is no key of a workspace."""


MAX_TEXT = 300
"""Characters of a text that is kept whole."""
KEPT_TEXT = 200
"""Characters that are kept of a longer one."""
MAX_ITEMS = 50
"""Items of a list that are kept."""
MAX_BYTES = 16_384
"""Maximum bytes of one side of a change."""
_DIGITS = 12
"""Hexadecimal digits that stand for the query of a URL: enough to tell two apart."""
Side = Mapping[str, Any]


def keep_changed(before: Side, after: Side) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both sides without the fields that are equal; mappings in both are compared field by field."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            was, now = keep_changed(was, now)
        if name in before:
            old[name] = was
        if name in after:
            new[name] = now
    return old, new


def bound_side(side: Side) -> dict[str, Any]:
    """Return one side with long texts and lists shortened; one that is still too large as its size and hash."""
    bounded: dict[str, Any] = _bound(side)
    text = json.dumps(bounded, sort_keys=True, ensure_ascii=False).encode(errors="replace")
    return bounded if len(text) <= MAX_BYTES else {"bytes": len(text), "sha256": _hash(text)}


def _bound(value: Any) -> Any:
    """Return a value of JSON, bounded."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        text = value.encode(errors="replace")
        return {"begins": value[:KEPT_TEXT], "characters": len(value), "sha256": _hash(text)}
    if isinstance(value, Mapping):
        return {name: _bound(one) for name, one in value.items()}
    if isinstance(value, list):
        more = [f"and {len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else []
        return [*map(_bound, value[:MAX_ITEMS]), *more]
    return value


def hide_queries(value: Any) -> Any:
    """Return a value of JSON in which URLs have a hash instead of their query, which may be a signature."""
    if isinstance(value, Mapping):
        return {name: hide_queries(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [hide_queries(one) for one in value]
    if isinstance(value, str) and value.startswith(("http://", "https://")) and "?" in value:
        return _hide_query(value)
    return value


def _hide_query(url: str) -> str:
    address, _, query = url.partition("?")
    return f"{address}?sha256:{_hash(query.encode(errors='replace'))[:_DIGITS]}"


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
