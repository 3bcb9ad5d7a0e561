"""Issues of a 422: each has words of ours and a type of the documented vocabulary, whatever a model refuses."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core._pydantic_core import list_all_errors

import pipeline.api
from pipeline.api.app import OPERATIONS
from pipeline.api.http.validation import Body
from pipeline.api.posts.schema import OptionsBody
from pipeline.domain.validation_issue import ISSUE_TYPES, issues_from_pydantic

ROOT = Path(__file__).parents[4]
RAW = re.compile(r"should|Input|Value error|Unable|Extra inputs|Assertion|Field required|permitted")
"""Words of pydantic's own sentences that ours do not have."""
JUNK: tuple[Any, ...] = (
    None, True, "", "x", " ", "\ud800", "x" * 6000, "1e999", 0, -1, 10**30, 3.5, float("nan"), float("inf"),
    [], [None] * 600, ["x"], {}, {"type": "x"}, {"nonsense": 1}, b"\xff", ["\ud800", ["x" * 6000]], "-1", "501",
)  # fmt: skip
KEYWORDS = {
    "minimum": {"greater_than_equal"},
    "exclusiveMinimum": {"greater_than"},
    "maximum": {"less_than_equal"},
    "pattern": {"string_pattern_mismatch"},
    "maxLength": {"string_too_long"},
    "minLength": {"string_too_short"},
    "maxItems": {"too_long"},
    "minItems": {"too_short"},
    "enum": {"literal_error"},
    "const": {"literal_error"},
}
"""Keyword of a JSON schema -> type of the issue for a value that breaks it."""


def list_models() -> list[type[Body]]:
    """Return the models of all requests: those of bodies, queries and sections."""
    for module in pkgutil.walk_packages(pipeline.api.__path__, "pipeline.api."):
        importlib.import_module(module.name)
    found, left = set(), [Body]
    while left:
        found.add(one := left.pop())
        left.extend(one.__subclasses__())
    assert {operation.body for operation in OPERATIONS if operation.body} <= found
    return sorted(found, key=lambda model: model.__name__)


def list_issues(model: type[Body], body: Any) -> list[dict[str, Any]]:
    try:
        model.model_validate(body)
    except ValidationError as error:
        return issues_from_pydantic(error.errors(include_url=False), OptionsBody.tags, lambda _: ())
    return []


def list_keywords(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.keys() & KEYWORDS.keys()
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from list_keywords(inner)


def test_whatever_a_model_refuses_has_our_words_and_a_documented_type() -> None:
    seen, keywords = set(), set()
    for model in list_models():
        keywords |= {*list_keywords(model.model_json_schema())}
        for name in model.model_fields:
            for value in (*JUNK, *([one] for one in JUNK), *({name: one} for one in JUNK)):
                for issue in list_issues(model, {name: value, "nonsense": 1}):
                    assert not RAW.search(issue["message"]), (model, issue)
                    assert issue["type"] in ISSUE_TYPES, (model, issue)
                    seen.add(issue["type"])
    assert keywords <= KEYWORDS.keys()
    for keyword in keywords:
        assert KEYWORDS[keyword] & seen, f"no value broke a {keyword}"


@pytest.mark.parametrize("known", list_all_errors(), ids=lambda known: known["type"])
def test_no_error_of_pydantic_keeps_its_own_words(known: Any) -> None:
    error: Any = {
        "type": known["type"],
        "loc": ("field",),
        "input": "x",
        "msg": known["example_message_python"],
    }
    if known.get("example_context"):
        error["ctx"] = known["example_context"]
    [issue] = issues_from_pydantic([error], {}, lambda _: ())
    is_raised_by_us = known["type"].startswith(("datetime_", "url_"))
    assert issue["message"] != known["example_message_python"] or is_raised_by_us
    assert issue["type"] in ISSUE_TYPES


def list_written_types() -> Iterator[tuple[Path, str]]:
    """Yield each type of an issue that is written in the source."""
    places = {"build_issue": 2, "PydanticCustomError": 0, "InvalidCell": 1}
    for folder in ("pipeline", "adapters"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                if (place := places.get(name)) is None or len(node.args) <= place:
                    continue
                if isinstance(found := node.args[place], ast.Constant):
                    yield file, str(found.value)


def test_every_type_that_the_source_writes_is_documented() -> None:
    written = list(list_written_types())
    assert len(written) > 40
    for file, kind in written:
        assert kind in ISSUE_TYPES, file
