"""The examples of the reference are what a real server answers: ``SLIPWAY_RECORD=1`` records them anew."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import requests

from config.settings import settings
from pipeline.api.app import create_app
from pipeline.api.openapi.sample_requests import FILE, SampleRequest, find_sample_request, read_recorded
from tests.pipeline.api.reference.error_requests import REQUESTS, build_others
from tests.pipeline.api.reference.scene import (
    ORDER,
    PUBLIC_URL,
    SETTINGS,
    Scene,
    arrange,
    list_files,
    normalize,
    stop_consuming,
)
from tests.pipeline.api.running_server import Server

RECORDS = os.environ.pop("SLIPWAY_RECORD", None)
"""Taken out of the environment, where everything with this prefix is a setting."""
HOW = "an answer has changed: record it anew with SLIPWAY_RECORD=1, as the first line of this file says"
REPEATED = {"createPost", "createWebhook", "testWebhook", "createFile", "createImport"}
"""Sent a second time with the same Idempotency-Key, for the answer to a repeated request."""
SERVER_SETTINGS = SETTINGS


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and description of each operation of the document."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in create_app().openapi()["paths"].items()
        for method, operation in item.items()
    }


def send(scene: Scene, method: str, path: str, request: SampleRequest, **more: str) -> requests.Response:
    filled = {name: scene.fill(value) for name, value in request.path.items()}
    url = scene.variables.get(request.url_variable) or scene.server.url + path.format(**filled)
    body = None if request.body is None else scene.fill(json.dumps(request.body)).encode()
    headers = {"Content-Type": request.content_type} if request.content_type else {}
    if body is not None:
        headers = {"Content-Type": "application/json"}
    if not request.url_variable:
        headers |= scene.tenant.headers
    headers |= more
    content = body or list_files(scene).get(request.file) or request.form
    url += f"?{request.query}" if request.query else ""
    return requests.request(method, url, data=content, headers=headers, timeout=30)


def record(server: Server) -> dict[str, Any]:
    """Return what the server answers, in the shape of ``recorded.json``."""
    scene, known = arrange(server), operations()
    assert set(ORDER) == set(known), "tests/pipeline/api/reference/scene.py orders all operations"
    answers: dict[str, dict[str, Any]] = {}
    for name in ORDER:
        method, path, _ = known[name]
        for _ in range(2 if name in REPEATED else 1):
            key = {"Idempotency-Key": f"{name}-1"} if name in REPEATED else {}
            answer = send(scene, method, path, find_sample_request(name), **key)
            if answer.headers["Content-Type"] == "application/json":
                assert answer.ok, answer.text
                scene.learn(name, answer.json()["data"])
                answers.setdefault(name, {})[str(answer.status_code)] = answer.json()
    stop_consuming(server)
    answers["readyz"]["503"] = server.send("GET", "/readyz").json()
    errors = {}
    for name, request in REQUESTS.items():
        refused = request(scene)
        assert f"{refused.status_code} {refused.json()['error_code']}" == name, refused.text
        errors[name] = refused.json()
    others = {
        name: {**body, "help": f"{PUBLIC_URL}{body['help'].removeprefix(settings().own_url)}"}
        for name, body in build_others().items()
    }
    return {"names": scene.names, "answers": answers, "errors": {**errors, **others}}


def test_the_examples_are_what_the_server_answers(server: Server) -> None:
    found = record(server)
    if RECORDS:
        FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        pytest.skip("recorded; run it again without SLIPWAY_RECORD to compare")
    recorded = read_recorded()
    for kind, stored in (("answers", recorded.answers), ("errors", recorded.errors)):
        assert set(found[kind]) == set(stored), HOW
        for name, now in found[kind].items():
            assert normalize(json.dumps(now)) == normalize(json.dumps(stored[name])), f"{name}: {HOW}"


def test_the_document_shows_recorded_answers_only() -> None:
    recorded = read_recorded()
    for name, (_, _, operation) in operations().items():
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            if content is None:
                continue
            for code, example in content.get("examples", {}).items():
                shown = recorded.answers.get(name, {}).get(status) or recorded.errors[f"{status} {code}"]
                assert example["value"] == shown
            if "example" in content:
                assert content["example"] == recorded.answers[name][status]
