"""The fields of a schema as a list for people: name, type, limits, and what is inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

DEEPEST = 6
"""Levels that are shown."""

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "up to {}",
    "default": "{} unless said otherwise",
}


def fields_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> str:
    """List items for the properties of an object; empty where there are none."""
    schema = _plain(schema, schemas)
    required = schema.get("required", ())
    items = [
        _field(name, part, schemas, depth, needed=name in required)
        for name, part in schema.get("properties", {}).items()
    ]
    return "\n".join(items)


def _field(
    name: str, part: Mapping[str, Any], schemas: Mapping[str, Any], depth: int, *, needed: bool
) -> str:
    facts = [_kind(part, schemas), *_limits(part, schemas)] + (["required"] if needed else [])
    told = f"<code>{escape(name)}</code> <small>{escape(', '.join(facts))}</small>"
    if said := part.get("description"):
        told += f" {escape(said)}"
    inside = "".join(_inside(part, schemas, depth)) if depth < DEEPEST else ""
    return f"<li>{told}{inside}</li>"


def _inside(part: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Iterator[str]:
    for branch in _branches(part, schemas):
        fields = fields_of(branch.get("items", branch), schemas, depth + 1)
        if fields:
            yield f"<ul>{fields}</ul>"


def _branches(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What it may be, but null."""
    plain = _plain(part, schemas)
    several = plain.get("oneOf") or plain.get("anyOf") or [plain]
    return [_plain(one, schemas) for one in several if one != {"type": "null"}]


def _kind(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    words = [_word(one, schemas) for one in _branches(part, schemas)]
    nullable = {"type": "null"} in part.get("anyOf", ())
    return " or ".join(dict.fromkeys(words)) + (" or null" if nullable else "")


def _word(one: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "const" in one or "enum" in one:
        return " | ".join(str(value) for value in one.get("enum") or [one["const"]])
    kind = one.get("type", "anything")
    if kind == "array":
        return f"array of {_kind(one.get('items', {}), schemas)}"
    return str(one.get("format", kind))


def _limits(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    return [
        said.format(one[name])
        for one in (*_branches(part, schemas), {"default": part.get("default")})
        for name, said in _LIMITS.items()
        if one.get(name) not in (None, [], {}, False)
    ]


def _plain(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without references."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema
