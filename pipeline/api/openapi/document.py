"""The OpenAPI document: FastAPI generates it from the routes; request bodies, introduction and examples are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from pipeline.api.openapi.introduction import INTRODUCTION, TAGS
from pipeline.api.openapi.operation import Operation, bodies_of
from pipeline.api.openapi.samples import add_samples

_SECURITY = {"key": {"type": "http", "scheme": "bearer", "description": "<public id>.<secret>"}}


def describe(app: FastAPI, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of *app*, whose documented routes are *operations*; it is built once."""
    if app.openapi_schema is None:
        spec = get_openapi(
            title=app.title,
            version=app.version,
            description=INTRODUCTION,
            routes=app.routes,
            tags=TAGS,
            servers=[{"url": "/"}],
        )
        bodies = [(body, "validation") for body in dict.fromkeys(bodies_of(operations))]
        _, schemas = models_json_schema(bodies, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        spec["components"]["schemas"].update(schemas["$defs"])
        spec["components"]["securitySchemes"] = _SECURITY
        add_samples(spec)
        app.openapi_schema = spec
    return app.openapi_schema
