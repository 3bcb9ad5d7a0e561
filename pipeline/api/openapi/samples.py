"""An example for every body and every good answer of the OpenAPI page, made from its schema: never out of date.

Names that appear everywhere have a likely value; the rest is the simplest value that the schema takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ID = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"
TIME = "2027-02-01T15:00:00.000Z"
DEEPEST = 12
"""Levels; a schema that goes on refers to itself."""

LIKELY: Mapping[str, Any] = {
    "caption": "Our new mug, in three colours",
    "url": "https://cdn.example.com/mug.mp4",
    "urls": ["https://cdn.example.com/mug-1.jpg", "https://cdn.example.com/mug-2.jpg"],
    "username": "acme",
    "display_name": "Acme",
    "external_id": "order-1",
    "filename": "mug.mp4",
    "time_zone": "Europe/Berlin",
    "kind": "video",
    "source": "partner_api",
    "state": "scheduled",
    "uploadUrl": "https://api.example.com/api/partner/v1/files/…",
    "size": 1048576,
    "connection": "business",
    "message": "Done",
    "media": {"type": "video", "url": "https://cdn.example.com/mug.mp4"},
    "tier": "business",
    "status": "scheduled",
}
LEFT_OUT = frozenset(
    {
        "music_url",
        "tiktok",
        "pinterest",
        "expires_at",
        "on_late",
        "issues",
        "warnings",
        "errors",
        "error",
        "duplicate",
        "duration_sec",
        "bytes",
        "width",
        "height",
        "mime_type",
        "reconnect",
        "remote_ids",
        "account_ids",
        "error_message",
        "blocked_reason",
        "delivered_as",
        "published_at",
        "published_url",
        "last_attempted_at",
        "context",
    }
)
"""Optional in life: an example is clearer without them."""
_SIMPLE: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.0, "boolean": True, "null": None}
_FORMATS = {"uuid": ID, "date-time": TIME}


def add_samples(spec: Mapping[str, Any]) -> None:
    """Gives every JSON body and good JSON answer of the document its example."""
    schemas = spec["components"]["schemas"]
    for item in spec["paths"].values():
        for operation in item.values():
            if body := _json(operation.get("requestBody", {})):
                body.setdefault("example", sample(body["schema"], schemas))
            for status, answer in operation["responses"].items():
                if int(status) < 400 and (told := _json(answer)):  # noqa: PLR2004
                    value = sample(told["schema"], schemas)
                    told.setdefault(
                        "example", {**value, "code": int(status), "message": answer["description"]}
                    )


def sample(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that the schema takes."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas, name, depth)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return LIKELY[name] if name in LIKELY else sample(schema[several][0], schemas, name, depth)
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum") or [schema["const"]]
        return LIKELY[name] if LIKELY.get(name) in choices else choices[0]
    if name in LIKELY:
        return LIKELY[name]
    return _made(schema, schemas, depth)


def _made(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object")
    if kind == "object":
        return _object(schema, schemas, depth) if depth < DEEPEST else {}
    if kind == "array":
        return [sample(schema.get("items", {}), schemas, "", depth + 1)]
    return _FORMATS.get(schema.get("format", ""), _SIMPLE[kind])


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    return {
        name: None if _left_out(name, part) else sample(part, schemas, name, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if name in required or name not in LEFT_OUT
    }


def _left_out(name: str, part: Mapping[str, Any]) -> bool:
    return name in LEFT_OUT and {"type": "null"} in part.get("anyOf", ())


def _json(told: Mapping[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = told.get("content", {}).get("application/json")
    return found
