"""Posts, batches, validation, edits and plans of imports over HTTP tell of neighbours."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from adapters.contract import Platform
from tests.pipeline.api.posts.test_action_routes import patch, steer
from tests.pipeline.api.running_server import Server, Tenant, ask, video

DUE, TOO_CLOSE, LATER = "2099-01-01T00:00:00Z", "2099-01-01T00:59:00Z", "2099-01-01T03:00:00Z"
OTHER = {"type": "video", "url": "https://cdn.example.com/other.mp4"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant(platforms=(Platform.TIKTOK,))


def told(warnings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(w["code"], w["field"]) for w in warnings if w["code"].startswith(("POSTS_", "SAME_"))]


def warnings_of(answer: requests.Response) -> list[tuple[str, str]]:
    assert answer.ok, answer.text
    return told(answer.json()["data"].get("warnings", []))


def test_a_post_its_validation_and_a_batch_are_told(server: Server, tenant: Tenant) -> None:
    first = server.post(video(tenant, scheduled_at=DUE), tenant.key)
    assert warnings_of(first) == []
    body = video(tenant, scheduled_at=TOO_CLOSE)
    expected = [("POSTS_TOO_CLOSE", "scheduled_at"), ("SAME_MEDIA", "media")]
    assert warnings_of(steer(server, tenant, "validate", body)) == expected
    second = server.post(body, tenant.key)
    assert warnings_of(second) == expected
    near = [w["message"] for w in second.json()["data"]["warnings"] if (w["code"], w["field"]) in expected]
    assert all(first.json()["data"]["id"] in message for message in near)
    assert warnings_of(steer(server, tenant, "validate", body)) == expected, "its own post is none"
    posts = [video(tenant, scheduled_at=at, media=OTHER) for at in (LATER, "2099-01-01T05:00:00Z")]
    answer = ask(server, tenant.key, "POST", "/posts/batch", {"posts": posts})
    results = answer.json()["data"]["results"]
    assert [told(one["data"].get("warnings", [])) for one in results] == [[], [("SAME_MEDIA", "media")]]


def test_an_edit_is_told(server: Server, tenant: Tenant) -> None:
    server.post(video(tenant, scheduled_at=DUE, caption="one"), tenant.key)
    second = server.post(video(tenant, scheduled_at=LATER, media=OTHER), tenant.key).json()["data"]["id"]
    assert warnings_of(patch(server, tenant, second, {"caption": "one"})) == [("SAME_CAPTION", "caption")]
