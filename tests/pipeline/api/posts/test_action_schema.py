"""What an edit or a deletion is refused with names the key that was sent, and advice that works."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pipeline.api.posts.schema import PostBody
from tests.pipeline.api.running_server import Server, Tenant, ask, video


def change(server: Server, tenant: Tenant, **body: object) -> dict[str, object]:
    post = server.post(video(tenant, scheduled_at="2090-01-01T00:00:00Z"), tenant.key).json()["data"]["id"]
    answer = ask(server, tenant.key, "PATCH", f"/posts/{post}", body)
    found: dict[str, object] = answer.json()
    return found


@pytest.mark.parametrize("name", ["expires_at", "on_late"])
def test_what_only_a_new_post_takes_says_so_in_an_edit(server: Server, tenant: Tenant, name: str) -> None:
    assert name in PostBody.model_fields
    refused = change(server, tenant, caption="New", **{name: None})
    assert refused["code"] == 422
    assert refused["message"] == (
        f"{name}: It is set when the post is created and cannot be changed: cancel this post and create another."
    )


def test_what_the_server_sets_says_so_and_a_typing_error_gets_the_name(
    server: Server, tenant: Tenant
) -> None:
    refused = change(server, tenant, status="posted", captoin="New")
    issues = {issue["path"]: issue["message"] for issue in refused["issues"]}  # type: ignore[attr-defined]
    assert issues == {
        "status": "The server sets it: leave it out of the edit.",
        "captoin": "There is no such field; did you mean `caption`?",
    }


def test_a_time_in_the_past_advises_what_works(server: Server, tenant: Tenant) -> None:
    refused = change(server, tenant, scheduled_at="2025-01-01T00:00:00Z")
    assert refused["code"] == 400
    assert str(refused["message"]).endswith("Send null to publish at once.")
    followed = change(server, tenant, scheduled_at=None)
    assert followed["data"]["status"] == "pending"  # type: ignore[index]
    assert server.post(video(tenant, scheduled_at=None), tenant.key).json()["data"]["status"] == "pending"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (
            {"postIds": [str(uuid4())], "post_ids": [str(uuid4())]},
            "post_ids",
            "postIds and post_ids are two names of one field: send one of them.",
        ),
        ({"postIds": ["x"]}, "postIds.0", "Must be a UUID such as 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812."),
        ({}, "postIds", "It is required."),
    ],
)
def test_a_deletion_is_refused_by_the_name_that_was_sent(
    server: Server, tenant: Tenant, body: dict[str, object], path: str, message: str
) -> None:
    answer = ask(server, tenant.key, "POST", "/posts/delete", body)
    assert answer.status_code == 422
    assert [(issue["path"], issue["message"]) for issue in answer.json()["issues"]] == [(path, message)]
