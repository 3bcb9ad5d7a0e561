"""The rules of fields and operations, from ``rules.toml``: the OpenAPI documents say each where it holds.

Each comes with the sentences that refuse what breaks it (``x-refusals``): a client who has a message finds its field.
Each operation says how it is repeated safely (``x-repeat``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from adapters.post_options import MAX_URL
from pipeline.actions.steering import MOST
from pipeline.api.http import timestamp
from pipeline.api.posts.account_entries import MAX_FILES
from pipeline.api.posts.batch import MAX_BATCH_POSTS
from pipeline.api.posts.field_types import FLAT_CAPTION
from pipeline.api.posts.media_types import MAX_URLS
from pipeline.api.posts.schema import MAX_ACCOUNTS, MAX_EXTERNAL_ID
from pipeline.domain.post import IMMEDIATE
from pipeline.webhooks.webhooks import MAX_WEBHOOKS

_TABLES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))
NUMBERS: Mapping[str, str] = {
    "caption": f"{FLAT_CAPTION:,}",
    "url": f"{MAX_URL:,}",
    "urls": f"{MAX_URLS}",
    "accounts": f"{MAX_ACCOUNTS}",
    "own_files": f"{MAX_FILES}",
    "external_id": f"{MAX_EXTERNAL_ID}",
    "batch": f"{MAX_BATCH_POSTS}",
    "immediate": f"{IMMEDIATE.total_seconds():g}",
    "first_year": f"{timestamp.FIRST_YEAR}",
    "last_year": f"{timestamp.LAST_YEAR - 1}",
    "steered": f"{MOST:,}",
    "webhooks": f"{MAX_WEBHOOKS}",
}
"""The numbers that the texts of rules name, from the code that holds posts to them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule. ``at``: its places, as of ``find_place``; ``says``: the sentences that refuse what breaks it."""

    at: Sequence[str]
    rule: str
    says: Sequence[str]


RULES = [
    Rule(at=found["at"], rule=Template(found["rule"]).substitute(NUMBERS), says=found["says"])
    for found in _TABLES["rules"]
]
REPEATS: Mapping[str, str] = _TABLES["repeat"]["by_operation"]
"""How to repeat an operation that neither only reads nor takes an Idempotency-Key alone."""


def list_rules(place: str) -> list[Rule]:
    """Return the rules that name this place."""
    return [rule for rule in RULES if place in rule.at]


def add_rules(spec: Mapping[str, Any]) -> None:
    """Add each rule to the description of its places in an OpenAPI document, and how each operation is repeated."""
    for item in spec["paths"].values():
        for method, operation in item.items():
            operation["x-repeat"] = _describe_repeat(method, operation)
    for rule in RULES:
        for place in rule.at:
            if (part := find_place(spec, place)) is not None:
                part["description"] = f"{part.get('description', '')} {rule.rule}".lstrip()
                part["x-refusals"] = [*part.get("x-refusals", ()), *rule.says]


def find_place(spec: Mapping[str, Any], place: str) -> dict[str, Any] | None:
    """Return the part of a document: ``Model``, ``Model.field``, ``operation`` or ``operation?parameter``."""
    model, _, field = place.partition(".")
    if (schema := spec["components"]["schemas"].get(model)) is not None:
        found: dict[str, Any] | None = schema["properties"].get(field) if field else schema
        return found
    name, _, parameter = place.partition("?")
    for item in spec["paths"].values():
        for operation in item.values():
            if operation["operationId"] == name:
                parameters = {one["name"]: one for one in operation.get("parameters", ())}
                return parameters.get(parameter) if parameter else operation
    return None


def _describe_repeat(method: str, operation: Mapping[str, Any]) -> str:
    repeat: Mapping[str, str] = _TABLES["repeat"]
    takes_key = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    default = repeat["read"] if method == "get" else repeat["key"] if takes_key else ""
    return REPEATS.get(operation["operationId"], default)
