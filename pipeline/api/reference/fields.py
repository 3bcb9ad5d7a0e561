"""The fields of JSON schemas as the reference lists them: type, limits, rules, refusals, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 6
"""Levels of nesting that are shown."""
Schema = Mapping[str, Any]
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "up to {}",
    "pattern": "of the form {}",
    "default": "default {}",
}
_PLAIN = {("minLength", 1), ("minItems", 1)}
"""Limits that need no words: what is there is not empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field. ``id``: of its place on the page; ``words``: the values it takes; ``branches``: its inner fields."""

    id: str
    name: str
    type: str
    facts: Sequence[str]
    text: str
    words: Sequence[str]
    refusals: Sequence[str]
    branches: Sequence[Branch]


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """The fields of an object; ``title`` if there are several forms of it, and ``text`` about this one."""

    title: str
    text: str
    fields: Sequence[Field]


def list_fields(schema: Schema, schemas: Schema, place: str, depth: int = 0) -> list[Field]:
    """Return the fields of an object. *place*: the id of what they are in."""
    schema = _dereference(schema, schemas)
    required = schema.get("required", ())
    return [
        _build_field(name, part, schemas, f"{place}-{name}", depth, is_required=name in required)
        for name, part in schema.get("properties", {}).items()
    ]


def build_parameter(parameter: Schema, schemas: Schema, place: str) -> Field:
    """Return a parameter of an operation as a field."""
    part = {
        **parameter["schema"],
        **{k: v for k, v in parameter.items() if k in ("description", "x-refusals")},
    }
    name, is_required = parameter["name"], parameter.get("required", False)
    return _build_field(name, part, schemas, f"{place}-{name}", 0, is_required=is_required)


def _build_field(
    name: str, part: Schema, schemas: Schema, place: str, depth: int, *, is_required: bool
) -> Field:
    branches = _list_branches(part, schemas)
    said = branches[0] if len(branches) == 1 and "description" not in part else part
    several = len([one for one in branches if "properties" in _get_items(one, schemas)]) > 1
    return Field(
        id=place,
        name=name,
        type=_name_type(part, branches, schemas),
        facts=[*(["required"] if is_required else []), *_list_limits(branches, part)],
        text=said.get("description", ""),
        words=[str(v) for one in branches for v in _list_words(_get_items(one, schemas))],
        refusals=said.get("x-refusals", ()),
        branches=[*_build_branches(branches, schemas, place, depth, several=several)],
    )


def _build_branches(
    branches: Sequence[Schema], schemas: Schema, place: str, depth: int, *, several: bool
) -> Iterator[Branch]:
    for branch in branches if depth < MAX_DEPTH else ():
        inner = _get_items(branch, schemas)
        title = inner.get("title", "") if several else ""
        fields = list_fields(inner, schemas, f"{place}-{title.lower()}" if title else place, depth + 1)
        if fields:
            yield Branch(title=title, text=inner.get("description", ""), fields=fields)


def _list_branches(part: Schema, schemas: Schema) -> list[Schema]:
    """Return the alternatives without null, dereferenced, those of alternatives in their place."""
    schema = _dereference(part, schemas)
    several = schema.get("oneOf") or schema.get("anyOf")
    if not several:
        return [schema]
    return [
        one for branch in several if branch != {"type": "null"} for one in _list_branches(branch, schemas)
    ]


def _name_type(part: Schema, branches: Sequence[Schema], schemas: Schema) -> str:
    names = dict.fromkeys(_name_branch(one, schemas, has_siblings=len(branches) > 1) for one in branches)
    is_nullable = {"type": "null"} in part.get("anyOf", ())
    return " or ".join(names) + (" or null" if is_nullable else "")


def _name_branch(branch: Schema, schemas: Schema, *, has_siblings: bool) -> str:
    if branch.get("type") == "array":
        return f"array of {_name_branch(_get_items(branch, schemas), schemas, has_siblings=False)}"
    kind = branch.get("type") or ("object" if "properties" in branch else "string")
    more = branch.get("format") or (branch.get("title", "") if has_siblings else "")
    return f"{kind} ({more})" if more else str(kind)


def _list_words(schema: Schema) -> Sequence[Any]:
    return schema.get("enum") or ([schema["const"]] if "const" in schema else [])


def _list_limits(branches: Sequence[Schema], part: Schema) -> Iterator[str]:
    for schema in [*branches, part] if part not in branches else branches:
        for name, text in _LIMITS.items():
            value = schema.get(name)
            if value is not None and (name, value) not in _PLAIN:
                yield text.format(f"{value:,}" if isinstance(value, int | float) else value)


def _get_items(schema: Schema, schemas: Schema) -> Schema:
    """Return the schema of an array's items, or the schema itself."""
    return _dereference(schema.get("items", schema), schemas)


def _dereference(schema: Schema, schemas: Schema) -> Schema:
    """Return the schema behind ``$ref``."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema
