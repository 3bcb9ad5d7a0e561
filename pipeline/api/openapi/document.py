"""The OpenAPI documents: FastAPI generates them from the routes; bodies, introduction and examples are added.

Examples for the OpenAPI document: recorded answers, and values generated from the schemas where there are none.

Common field names have a realistic value; other fields get the simplest value that their schema accepts.

The changelogs of the HTTP APIs, from ``releases.toml``: every version of a document, what changed, and its digest.

Versions follow SemVer. Major: a client has to change. Minor: something was added, such as a field of a response, an
optional field of a request, an operation, or a code of an error or a warning. Patch: the document says the same better.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import Route

from pipeline.api.openapi import introduction
from pipeline.api.openapi.operation import OPERATOR_API, PARTNER_API, Operation
from pipeline.api.openapi.rules import add_rules
from pipeline.api.openapi.sample_requests import find_sample_request, read_recorded

ID = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"
TIME = "2027-02-01T15:00:00.000Z"
MAX_DEPTH = 12
"""Levels of nesting; a deeper schema refers to itself."""

TYPICAL: Mapping[str, Any] = {"username": "acme", "state": "scheduled"}
OMITTED = frozenset({"cursor", "error", "filter", "per_minute"})
"""Optional fields without which an example is clearer."""
_SIMPLE: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.0, "boolean": True, "null": None}
_FORMATS = {"uuid": ID, "date-time": TIME}


def add_samples(spec: Mapping[str, Any]) -> None:
    """Add an example to every JSON body and response; examples of errors get the keys they lack."""
    schemas = spec["components"]["schemas"]
    for operation in (operation for item in spec["paths"].values() for operation in item.values()):
        name = operation["operationId"]
        if body := _json(operation.get("requestBody", {})):
            body["example"] = find_sample_request(name, sample(body["schema"], schemas)).body
        for status, response in operation["responses"].items():
            if content := _json(response):
                _add_answers(content, name, status, response["description"], schemas)


def _add_answers(
    content: dict[str, Any], name: str, status: str, description: str, schemas: Mapping[str, Any]
) -> None:
    """Add the recorded answers of one status, and generated ones where none was recorded."""
    value = sample(content["schema"], schemas)
    answer, errors = read_recorded().answers.get(name, {}).get(status), read_recorded().errors
    for code, example in content.get("examples", {}).items():
        example["value"] = answer or errors.get(f"{status} {code}", {**value, **example["value"]})
    if "examples" not in content:
        content["example"] = answer or {**value, "code": int(status), "message": description}


def sample(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """Return a value that the schema accepts. *name* is the field it is for."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas, name, depth)
    if "examples" in schema:
        return schema["examples"][0]
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return TYPICAL[name] if name in TYPICAL else sample(schema[several][0], schemas, name, depth)
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum") or [schema["const"]]
        return TYPICAL[name] if TYPICAL.get(name) in choices else choices[0]
    if name in TYPICAL:
        return TYPICAL[name]
    return _simplest(schema, schemas, depth)


def _simplest(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object")
    if kind == "object":
        return _simplest_object(schema, schemas, depth) if depth < MAX_DEPTH else {}
    if kind == "array":
        return [sample(schema.get("items", {}), schemas, "", depth + 1)]
    return _FORMATS.get(schema.get("format", ""), _SIMPLE[kind])


def _simplest_object(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    return {
        name: None if _is_omitted(name, part) else sample(part, schemas, name, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if name in required or name not in OMITTED
    }


def _is_omitted(name: str, part: Mapping[str, Any]) -> bool:
    return name in OMITTED and {"type": "null"} in part.get("anyOf", ())


def _json(part: Mapping[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = part.get("content", {}).get("application/json")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One version of a document. ``sha256``: its digest, by ``hash_document``."""

    version: str
    changes: Sequence[str]
    sha256: str


_RELEASES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("releases.toml").read_text("utf-8"))


def _list_releases(document: str) -> Sequence[Release]:
    """Return the releases, newest first. One that was merged is never changed: a change is a new one."""
    return [Release(**release) for release in _RELEASES[document]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Document:
    """The parts of an OpenAPI document beyond its operations."""

    title: str
    url: str
    """Where the server shows it."""
    api: str
    """The ``api`` of its operations."""
    introduction: str
    tags: Sequence[Mapping[str, str]]
    key: str
    """Description of the bearer token."""
    releases: Sequence[Release] = field(repr=False)


PARTNER = Document(
    title="Slipway Partner API",
    url="/openapi.json",
    api=PARTNER_API,
    introduction=introduction.INTRODUCTION,
    tags=introduction.TAGS,
    key="<public id>.<secret>",
    releases=_list_releases("partner"),
)
OPERATOR = Document(
    title="Slipway Operator API",
    url=f"{OPERATOR_API}/openapi.json",
    api=OPERATOR_API,
    introduction=introduction.OPERATOR_INTRODUCTION,
    tags=introduction.OPERATOR_TAGS,
    key="The operator token, or a key: <public id>.<secret>",
    releases=_list_releases("operator"),
)
DOCUMENTS = (PARTNER, OPERATOR)


def describe(app: FastAPI, document: Document, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document of those of *operations* that belong to it. *app* has their routes."""
    mine = [operation for operation in operations if operation.api == document.api]
    names = {operation.id for operation in mine if operation.is_documented}
    spec = get_openapi(
        title=document.title,
        version=document.releases[0].version,
        description=document.introduction + introduction.VERSIONS,
        routes=[route for route in app.routes if isinstance(route, Route) and route.name in names],
        tags=[dict(tag) for tag in document.tags],
        servers=[{"url": "/"}],
    )
    spec["info"]["x-changelog"] = [
        {"version": release.version, "changes": [*release.changes]} for release in document.releases
    ]
    models = dict.fromkeys(one.body for one in mine if one.body is not None)
    bodies = [(body, "validation") for body in models]
    _, schemas = models_json_schema(bodies, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    spec["components"]["schemas"].update(schemas["$defs"])
    _drop_defaults(spec["components"]["schemas"])
    add_rules(spec)
    scheme = {"type": "http", "scheme": "bearer", "description": document.key}
    spec["components"]["securitySchemes"] = {"key": scheme}
    add_samples(spec)
    return spec


def _drop_defaults(schemas: Mapping[str, Any]) -> None:
    """Remove the defaults of optional fields: openapi-typescript takes a field with a default for a required one."""
    for schema in schemas.values():
        for part in schema.get("properties", {}).values():
            part.pop("default", None)


def hash_document(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an OpenAPI document in hexadecimal.

    Its version and changelog are left out, and the examples of bodies: recorded again, they have other ids.
    """
    info = {name: value for name, value in spec["info"].items() if name not in ("version", "x-changelog")}
    kept = _without_examples({**spec, "info": info})
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _without_examples(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_examples(item) for item in part]
    if not isinstance(part, dict):
        return part
    left_out = ("example", "examples") if "schema" in part else ()
    return {name: _without_examples(value) for name, value in part.items() if name not in left_out}
