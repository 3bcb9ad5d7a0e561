"""HTML list of the fields of a JSON schema: name, type, limits, nested fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

MAX_DEPTH = 6
"""Levels of nesting that are shown."""

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "up to {}",
    "default": "default {}",
}


def list_fields(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> str:
    """Return the ``li`` elements for the properties of an object, or an empty string."""
    schema = _dereference(schema, schemas)
    required = schema.get("required", ())
    items = [
        _field(name, part, schemas, depth, is_required=name in required)
        for name, part in schema.get("properties", {}).items()
    ]
    return "\n".join(items)


def _field(
    name: str, part: Mapping[str, Any], schemas: Mapping[str, Any], depth: int, *, is_required: bool
) -> str:
    facts = [_type(part, schemas), *_limits(part, schemas)] + (["required"] if is_required else [])
    text = f"<code>{escape(name)}</code> <small>{escape(', '.join(facts))}</small>"
    if description := part.get("description"):
        text += f" {escape(description)}"
    nested = "".join(_nested(part, schemas, depth)) if depth < MAX_DEPTH else ""
    return f"<li>{text}{nested}</li>"


def _nested(part: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Iterator[str]:
    for branch in _branches(part, schemas):
        fields = list_fields(branch.get("items", branch), schemas, depth + 1)
        if fields:
            yield f"<ul>{fields}</ul>"


def _branches(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the alternatives without null, dereferenced."""
    schema = _dereference(part, schemas)
    branches = schema.get("oneOf") or schema.get("anyOf") or [schema]
    return [_dereference(branch, schemas) for branch in branches if branch != {"type": "null"}]


def _type(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    names = [_type_name(branch, schemas) for branch in _branches(part, schemas)]
    is_nullable = {"type": "null"} in part.get("anyOf", ())
    return " or ".join(dict.fromkeys(names)) + (" or null" if is_nullable else "")


def _type_name(branch: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "const" in branch or "enum" in branch:
        return " | ".join(str(value) for value in branch.get("enum") or [branch["const"]])
    name = branch.get("type", "any")
    if name == "array":
        return f"array of {_type(branch.get('items', {}), schemas)}"
    return str(branch.get("format", name))


def _limits(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    return [
        text.format(branch[name])
        for branch in (*_branches(part, schemas), {"default": part.get("default")})
        for name, text in _LIMITS.items()
        if branch.get(name) not in (None, [], {}, False)
    ]


def _dereference(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema behind ``$ref``."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema
