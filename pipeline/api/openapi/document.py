"""The OpenAPI documents: FastAPI generates them from the routes; bodies, introduction and examples are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import Route

from pipeline.api.openapi import introduction
from pipeline.api.openapi.operation import OPERATOR_API, PARTNER_API, Operation, bodies_of
from pipeline.api.openapi.releases import OPERATOR_RELEASES, PARTNER_RELEASES, Release
from pipeline.api.openapi.samples import add_samples


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Document:
    """What one OpenAPI document says beyond its operations."""

    title: str
    url: str
    """Where the server shows it."""
    api: str
    """The ``api`` of its operations."""
    introduction: str
    tags: Sequence[Mapping[str, str]]
    key: str
    """Description of what is sent as the bearer token."""
    releases: Sequence[Release] = field(repr=False)


PARTNER = Document(
    title="Slipway Partner API",
    url="/openapi.json",
    api=PARTNER_API,
    introduction=introduction.INTRODUCTION,
    tags=introduction.TAGS,
    key="<public id>.<secret>",
    releases=PARTNER_RELEASES,
)
OPERATOR = Document(
    title="Slipway Operator API",
    url=f"{OPERATOR_API}/openapi.json",
    api=OPERATOR_API,
    introduction=introduction.OPERATOR_INTRODUCTION,
    tags=introduction.OPERATOR_TAGS,
    key="The operator token, or a key: <public id>.<secret>",
    releases=OPERATOR_RELEASES,
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
    bodies = [(body, "validation") for body in dict.fromkeys(bodies_of(mine))]
    _, schemas = models_json_schema(bodies, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    spec["components"]["schemas"].update(schemas["$defs"])
    _drop_defaults(spec["components"]["schemas"])
    scheme = {"type": "http", "scheme": "bearer", "description": document.key}
    spec["components"]["securitySchemes"] = {"key": scheme}
    add_samples(spec)
    return spec


def _drop_defaults(schemas: Mapping[str, Any]) -> None:
    """Remove the defaults of optional fields: openapi-typescript takes a field with a default for a required one."""
    for schema in schemas.values():
        for part in schema.get("properties", {}).values():
            part.pop("default", None)
