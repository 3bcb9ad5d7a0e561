"""The OpenAPI document is complete and its examples are valid; the reference page shows all of it and loads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from pipeline.api.app import create_app
from pipeline.api.openapi.error_codes import CODES
from tests.pipeline.api.running_server import ROOT

KEYLESS = {
    "connectCallback",
    "connectChoice",
    "getFile",
    "healthz",
    "metrics",
    "putFile",
    "readyz",
}
"""Operations for browsers, for holders of a signed URL, and for monitoring."""
FOR_PEOPLE = re.compile(
    r"state_\w+|code_refused|access_denied|platform_\w+|wrong_account|no_account\w*|\w+_choice"
)
"""Codes of the OAuth pages, which no program reads."""
ELSEWHERE = {"invalid_callback", "not_your_account", "nothing_picked", "permission_missing"}
VOID = {"meta", "br", "link", "input"}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return create_app().openapi()


def operations(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in spec["paths"].values():
        yield from item.values()


def test_every_operation_has_a_name_a_sentence_a_chapter_and_asks_for_a_key_or_is_known_not_to(
    spec: dict[str, Any],
) -> None:
    names = [o["operationId"] for o in operations(spec)]
    assert len(names) == len(set(names))
    for o in operations(spec):
        assert o["summary"]
        assert o["tags"][0] in {tag["name"] for tag in spec["tags"]}
        assert o.get("security") == (None if o["operationId"] in KEYLESS else [{"key": []}]), o["operationId"]
    assert set(names) > KEYLESS


def error_contents(spec: dict[str, Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield status, description and content of every documented error with the JSON envelope."""
    for operation in operations(spec):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and "application/json" in response["content"]:
                yield int(status), response["description"], response["content"]["application/json"]


def test_every_refusal_names_its_codes_and_shows_each(spec: dict[str, Any]) -> None:
    for status, description, content in error_contents(spec):
        codes = content["schema"]["properties"]["error_code"]["enum"]
        assert codes
        assert list(content["examples"]) == codes
        assert all(f"{code}: " in description for code in codes)
        assert {e["value"]["code"] for e in content["examples"].values()} == {status}


def test_components_are_named_for_generated_clients(spec: dict[str, Any]) -> None:
    schemas = spec["components"]["schemas"]
    assert {"PostResponse", "PostPageResponse", "Post", "PostBody", "Failure"} <= set(schemas)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in schemas)


def test_every_code_that_the_source_raises_is_known(spec: dict[str, Any]) -> None:
    raised = set()
    for folder in ("api", "stages"):
        for source in (ROOT / "pipeline" / folder).rglob("*.py"):
            raised |= set(re.findall(r'Refusal\(\s*\d{3},\s*"(\w+)"', source.read_text()))
    assert len(raised) > 15
    assert {code for code in raised if not FOR_PEOPLE.fullmatch(code)} - ELSEWHERE <= set(CODES)
    documented = {code for _, _, content in error_contents(spec) for code in content["examples"]}
    assert documented == set(CODES), "each is documented at an operation"


def test_every_body_and_answer_has_an_example_that_fits(spec: dict[str, Any]) -> None:
    checked = 0
    for operation in operations(spec):
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in [part["content"][k] for k in part.get("content", {}) if k == "application/json"]:
                schema = {**content["schema"], "components": spec["components"]}
                examples = [e["value"] for e in content.get("examples", {}).values()] or [content["example"]]
                for example in examples:
                    jsonschema_rs.validate(schema, example)
                    checked += 1
    assert checked > 100


def test_a_new_post_links_to_the_operations_on_it(spec: dict[str, Any]) -> None:
    links = spec["paths"]["/api/partner/v1/posts"]["post"]["responses"]["201"]["links"]
    assert {link["operationId"] for link in links.values()} == {
        "getPost",
        "updatePost",
        "retryPosts",
        "cancelPosts",
        "deletePosts",
    }
