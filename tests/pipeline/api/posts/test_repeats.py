"""A repeated POST over HTTP: which bodies are equal, and that the answer says what became of the post."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from pipeline.api.http.response_models import Success
from pipeline.api.posts.response_models import CreatedPost
from pipeline.store.database import row
from pipeline.store.deliveries.move import recompute_post_status
from tests.pipeline.api.posts.test_action_routes import FAILED, LATER, STILL_LATER, patch, put, steer
from tests.pipeline.api.running_server import Server, Tenant, video

PUBLISHED = "state = 'published', published_at = now(), delivered_as = 'post', url = 'https://x.y/p'"


def send(server: Server, tenant: Tenant, body: dict[str, Any]) -> requests.Response:
    answer = server.post(body, tenant.key)
    assert answer.status_code in (200, 201), answer.text
    Success[CreatedPost].model_validate_json(answer.content)
    return answer


def settle(server: Server, post: str, assignments: str) -> None:
    """Set columns of the deliveries and recompute the post's status, as a worker would."""
    put(server, post, assignments)
    with server.context.database.begin() as c:
        recompute_post_status(c, UUID(post))


BECAME: dict[str, tuple[Callable[[Server, Tenant, str], Any], dict[str, Any]]] = {
    "scheduled": (lambda *_: None, {"status": "scheduled", "scheduled_at": LATER.replace("Z", ".000Z")}),
    "moved": (
        lambda s, t, post: patch(s, t, post, {"scheduled_at": STILL_LATER}),
        {"status": "scheduled", "scheduled_at": STILL_LATER},
    ),
    "canceled": (lambda s, t, post: steer(s, t, "cancel", {"post_ids": [post]}), {"status": "canceled"}),
    "deleted": (
        lambda s, t, post: steer(s, t, "delete", {"postIds": [post]}),
        {"status": "canceled", "deleted": True},
    ),
    "failed": (lambda s, _, post: settle(s, post, FAILED), {"status": "failed"}),
    "posted": (lambda s, _, post: settle(s, post, PUBLISHED), {"status": "posted"}),
}


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
    assert again.json()["message"].endswith(f"its post is {'scheduled' if name == 'moved' else name}")
    assert send(server, tenant, body).json()["data"] == data, "a repeat changes nothing"


def test_a_repeat_answers_the_warnings_of_now(server: Server, tenant: Tenant) -> None:
    url = f"https://media.example/{uuid4()}.mp4"
    body = video(tenant, external_id=str(uuid4()), scheduled_at=LATER, media={"type": "video", "url": url})
    first = send(server, tenant, body).json()["data"]
    assert "REACHABILITY_PENDING" in {w["code"] for w in first["warnings"]}
    assert send(server, tenant, body).json()["data"]["warnings"] == first["warnings"]
    steer(server, tenant, "cancel", {"post_ids": [first["id"]]})
    assert "warnings" not in send(server, tenant, body).json()["data"]


SPELLINGS: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda body: {**body, "tiktok": None, "pinterest": None, "music_url": None},
    lambda body: {**body, "scheduled_at": LATER.replace("Z", "+00:00")},
    lambda body: {**body, "scheduled_at": "2099-01-01T05:30:00+05:30"},
    lambda body: {**body, "accounts": [{"id": a["id"].upper()} for a in reversed(body["accounts"])]},
    lambda body: {**body, "on_late": "publish", "tiktok": {}},
    lambda body: dict(reversed(body.items())),
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("spell", SPELLINGS)
def test_another_spelling_is_the_same_body(
    server: Server, tenant: Tenant, spell: Callable[[dict[str, Any]], dict[str, Any]], *, known: bool
) -> None:
    both = [{"id": tenant.accounts[name]} for name in ("tiktok", "instagram")]
    if spell is SPELLINGS[4]:
        both = both[:1]  # a tiktok section is for TikTok accounts only
    body = video(tenant, scheduled_at=LATER, accounts=both, caption=str(uuid4()))
    body |= {"external_id": str(uuid4())} if known else {}
    first, again = send(server, tenant, body), send(server, tenant, spell(body))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"]["id"] == first.json()["data"]["id"]


def test_post_x_patch_to_y_post_x_again_publishes_both(server: Server, tenant: Tenant) -> None:
    body = video(tenant, scheduled_at=LATER, caption="X")
    first = send(server, tenant, body).json()["data"]["id"]
    assert patch(server, tenant, first, {"caption": "Y"}).status_code == 200
    again = send(server, tenant, body)
    assert again.status_code == 201
    second = again.json()["data"]["id"]
    captions = {p: server.get(f"/posts/{p}", tenant.key).json()["data"]["caption"] for p in (first, second)}
    assert captions == {first: "Y", second: "X"}


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
