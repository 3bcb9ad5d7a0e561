"""A repeated POST over HTTP says what became of the post; edits and retries name the accounts they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import requests

from pipeline.api.http.response_models import Success
from pipeline.api.posts.response_models import CreatedPost
from pipeline.store.database import row
from tests.pipeline.api.posts.test_action_routes import FAILED, LATER, STILL_LATER, patch, steer
from tests.pipeline.api.running_server import Server, Tenant, video


def send(server: Server, tenant: Tenant, body: dict[str, Any]) -> requests.Response:
    answer = server.post(body, tenant.key)
    assert answer.status_code in (200, 201), answer.text
    Success[CreatedPost].model_validate_json(answer.content)
    return answer


BECAME: dict[str, tuple[Callable[[Server, Tenant, str], Any], dict[str, Any]]] = {
    "scheduled": (
        lambda s, t, post: patch(s, t, post, {"scheduled_at": STILL_LATER}),
        {"status": "scheduled", "scheduled_at": STILL_LATER},
    ),
    "deleted": (
        lambda s, t, post: steer(s, t, "delete", {"postIds": [post]}),
        {"status": "canceled", "deleted": True},
    ),
}
"""What becomes of a post: stages/test_replay.py has every state."""


@pytest.mark.parametrize("name", BECAME)
def test_a_repeat_of_an_external_id_answers_what_is_now(server: Server, tenant: Tenant, name: str) -> None:
    body = video(tenant, external_id=str(uuid4()), scheduled_at=LATER)
    first = send(server, tenant, body)
    assert (first.status_code, first.json()["message"]) == (201, "Post scheduled")
    post = first.json()["data"]["id"]
    become, expected = BECAME[name]
    become(server, tenant, post)
    again = send(server, tenant, body)
    data = again.json()["data"]
    assert (again.status_code, data["id"], data["duplicate"]) == (200, post, True)
    assert {key: data[key] for key in expected} == expected
    assert ("deleted" in data) is (name == "deleted")
    assert again.json()["message"].endswith(f"its post is {name}")
    assert send(server, tenant, body).json()["data"] == data, "a repeat changes nothing"


def test_an_edit_shows_the_removed_account_and_does_not_count_it(server: Server, tenant: Tenant) -> None:
    both = [{"id": tenant.accounts[name]} for name in ("tiktok", "instagram")]
    post = send(server, tenant, video(tenant, scheduled_at=LATER, accounts=both)).json()["data"]["id"]
    assert patch(server, tenant, post, {"accounts": both[:1]}).json()["data"]["status"] == "scheduled"
    found = server.get(f"/posts/{post}", tenant.key).json()["data"]
    assert found["status"] == "scheduled"
    states = {s["platform"]: (s["status"], s.get("removed", False)) for s in found["accounts"]["states"]}
    assert states == {"tiktok": ("scheduled", False), "instagram": ("canceled", True)}


def fail_at_tiktok(server: Server, post: str) -> None:
    with server.context.database.begin() as c:
        sql = f"UPDATE deliveries SET {FAILED} WHERE post_id = :id AND platform = 'tiktok' RETURNING id"  # noqa: S608
        row(c, sql, id=post)


def test_a_retry_names_the_accounts_it_leaves(server: Server, tenant: Tenant) -> None:
    both = [{"id": tenant.accounts[name]} for name in ("tiktok", "instagram")]
    post = send(server, tenant, video(tenant, scheduled_at=LATER, accounts=both)).json()["data"]["id"]
    fail_at_tiktok(server, post)
    data = steer(server, tenant, "retry", {"post_ids": [post]}).json()["data"]
    assert (data["retried"], data["ids"], data["failed"], data.get("skipped")) == (1, [post], [], None)
    fail_at_tiktok(server, post)
    chosen = {"post_ids": [post], "account_ids": [*tenant.accounts.values()][:10]}
    data = steer(server, tenant, "retry", chosen).json()["data"]
    assert data["ids"] == [post]
    [left] = data["skipped"]
    assert (left["post_id"], left["account_id"]) == (post, tenant.accounts["instagram"])
    assert left["reason"].startswith("validation_failed: It is scheduled")
