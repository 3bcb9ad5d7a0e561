"""The OpenAPI documents are complete, written for generated clients, and their examples are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from pipeline.api.app import OPERATIONS, create_app
from pipeline.api.openapi.codes import CODES
from pipeline.api.openapi.document import DOCUMENTS, PARTNER, describe
from pipeline.api.posts.action_schema import read_change
from pipeline.api.posts.field_types import Rules
from pipeline.stages.post_request import Refusal
from tests.pipeline.api.running_server import ROOT, Server, Tenant, video

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
Spec = dict[str, Any]


@pytest.fixture(scope="module")
def specs() -> dict[str, Spec]:
    app = create_app()
    return {document.title: describe(app, document, OPERATIONS) for document in DOCUMENTS}


@pytest.fixture(params=[document.title for document in DOCUMENTS])
def spec(request: pytest.FixtureRequest, specs: dict[str, Spec]) -> Spec:
    """Each of the documents."""
    return specs[request.param]


@pytest.fixture
def partner(specs: dict[str, Spec]) -> Spec:
    return specs[PARTNER.title]


def operations(spec: Spec) -> Iterator[dict[str, Any]]:
    for item in spec["paths"].values():
        yield from item.values()


def test_every_operation_has_a_name_a_sentence_a_chapter_and_asks_for_a_key_or_is_known_not_to(
    spec: Spec,
) -> None:
    names = [o["operationId"] for o in operations(spec)]
    assert len(names) == len(set(names))
    for o in operations(spec):
        assert o["summary"]
        assert o["tags"][0] in {tag["name"] for tag in spec["tags"]}
        assert o["security"] == ([] if o["operationId"] in KEYLESS else [{"key": []}]), o["operationId"]


def test_each_operation_stands_in_one_document(specs: dict[str, Spec]) -> None:
    names = [o["operationId"] for spec in specs.values() for o in operations(spec)]
    assert sorted(names) == sorted(o.id for o in OPERATIONS if o.is_documented)
    assert set(names) > KEYLESS


def error_contents(spec: Spec) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield status, description and content of every documented error with the JSON envelope."""
    for operation in operations(spec):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and "application/json" in response["content"]:
                yield int(status), response["description"], response["content"]["application/json"]


def test_every_refusal_names_its_codes_and_shows_each(spec: Spec) -> None:
    for status, description, content in error_contents(spec):
        codes = content["schema"]["properties"]["error_code"]["enum"]
        assert codes
        assert list(content["examples"]) == codes
        assert all(f"{code}: " in description for code in codes)
        assert {e["value"]["code"] for e in content["examples"].values()} == {status}


def test_every_error_has_a_named_type_that_lists_its_codes(spec: Spec) -> None:
    for status, _, content in error_contents(spec):
        name = content["schema"]["$ref"].rpartition("/")[2]
        of_plans = "Conflict" if "plan_changed" in content["examples"] else "Failure"
        of_mandates = "BadRequest" if "mandate_exceeded" in content["examples"] else "Failure"
        named = {400: "BadRequest", 403: of_mandates, 409: of_plans, 422: "InvalidRequest", 503: name}
        assert name == named.get(status, "Failure")
        fields = spec["components"]["schemas"][name]["properties"]
        assert fields["error_code"]["$ref"] == "#/components/schemas/ErrorCode"
    assert spec["components"]["schemas"]["ErrorCode"]["enum"] == [*CODES]


def test_what_the_server_answers_to_any_request_is_listed_everywhere(spec: Spec) -> None:
    for o in operations(spec):
        assert {"400", "405", "408", "431", "500", "503"} <= set(o["responses"]), o["operationId"]


def test_components_are_named_for_generated_clients(spec: Spec) -> None:
    schemas = spec["components"]["schemas"]
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in schemas)


def test_what_clients_compare_is_a_named_enumeration(partner: Spec) -> None:
    schemas = partner["components"]["schemas"]
    assert {"PostResponse", "PostPageResponse", "Post", "PostBody", "Failure"} <= set(schemas)
    named = {
        "AccountState": {"state": "State", "status": "PostStatus", "delivered_as": "DeliveredAs"},
        "PostWarning": {"code": "WarningCode"},
        "ValidationWarning": {"code": "WarningCode"},
        "ValidationRefusal": {"code": "ErrorCode"},
        "Post": {"tiktok": "TikTokOptions", "pinterest": "PinterestOptions", "on_late": "OnLate"}
        | {"youtube": "YouTubeOptions", "instagram": "InstagramOptions"}
        | {"facebook": "FacebookOptions", "linkedin": "LinkedInOptions"},
    }
    for name, fields in named.items():
        for field, kind in fields.items():
            part = schemas[name]["properties"][field]
            assert part.get("anyOf", [part])[0]["$ref"] == f"#/components/schemas/{kind}", (name, field)
    for kind in ("State", "PostStatus", "DeliveredAs", "WarningCode", "ErrorCode", "OnLate"):
        assert schemas[kind]["enum"]
    media = schemas["Post"]["properties"]["media"]["oneOf"]
    assert [one["$ref"].rpartition("/")[2] for one in media] == ["Video", "Slideshow", "Text", "Document"]


def test_no_field_has_a_default_because_typescript_would_require_it(spec: Spec) -> None:
    for name, schema in spec["components"]["schemas"].items():
        for field, part in schema.get("properties", {}).items():
            assert "default" not in part, (name, field)


def test_an_edit_documents_null_for_exactly_the_fields_that_null_clears(partner: Spec) -> None:
    fields = partner["components"]["schemas"]["PatchBody"]["properties"]
    documented = {name for name, part in fields.items() if {"type": "null"} in part.get("anyOf", ())}
    assert documented == {name for name in fields if may_be_null(name)}
    assert {"scheduled_at", "music_url", "tiktok"} <= documented < set(fields)


def may_be_null(field: str) -> bool:
    try:
        read_change({field: None}, Rules())
    except Refusal:
        return False
    return True


def test_a_400_carries_its_issues_as_documented(server: Server, tenant: Tenant, partner: Spec) -> None:
    answer = server.post(video(tenant, "instagram", tiktok={"title": "t"}), tenant.key)
    assert (answer.status_code, [issue["path"] for issue in answer.json()["issues"]]) == (400, ["tiktok"])
    documented = partner["paths"]["/api/partner/v1/posts"]["post"]["responses"]["400"]
    schema = documented["content"]["application/json"]["schema"]
    jsonschema_rs.validate({**schema, "components": partner["components"]}, answer.json())


def test_every_code_that_the_source_raises_is_known(specs: dict[str, Spec]) -> None:
    raised = set()
    for folder in ("api", "stages"):
        for source in (ROOT / "pipeline" / folder).rglob("*.py"):
            raised |= set(re.findall(r'Refusal\(\s*\d{3},\s*"(\w+)"', source.read_text()))
    assert len(raised) > 15
    assert {code for code in raised if not FOR_PEOPLE.fullmatch(code)} - ELSEWHERE <= set(CODES)
    documented = {
        code
        for spec in specs.values()
        for _, _, content in error_contents(spec)
        for code in content["examples"]
    }
    assert documented == set(CODES), "each is documented at an operation"


def test_every_body_and_answer_has_an_example_that_fits(spec: Spec) -> None:
    checked = 0
    for operation in operations(spec):
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in [part["content"][k] for k in part.get("content", {}) if k == "application/json"]:
                schema = {**content["schema"], "components": spec["components"]}
                examples = [e["value"] for e in content.get("examples", {}).values()] or [content["example"]]
                for example in examples:
                    jsonschema_rs.validate(schema, example)
                    checked += 1
    assert checked > 40


def test_an_upload_links_to_its_put(partner: Spec) -> None:
    links = partner["paths"]["/api/partner/v1/files"]["post"]["responses"]["201"]["links"]
    put = next(o for o in operations(partner) if o["operationId"] == links["putFile"]["operationId"])
    assert {p["name"] for p in put["parameters"]} == set(links["putFile"]["parameters"])


def test_a_new_post_links_to_the_operations_on_it(partner: Spec) -> None:
    links = partner["paths"]["/api/partner/v1/posts"]["post"]["responses"]["201"]["links"]
    assert {link["operationId"] for link in links.values()} == {
        "getPost",
        "updatePost",
        "retryPosts",
        "cancelPosts",
        "deletePosts",
    }


def test_the_server_shows_its_documents_without_a_key(server: Server, specs: dict[str, Spec]) -> None:
    for document in DOCUMENTS:
        answer = server.http.get(server.url + document.url, timeout=30)
        assert answer.json() == specs[document.title]
