"""Reads of posts, accounts and the subscription over HTTP, and the limits of a key's scope."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import requests

from pipeline.api.accounts.routes import AccountList, KeySubscription
from pipeline.api.http.response_models import Success
from pipeline.api.posts.explanation_models import PostExplanation
from pipeline.api.posts.response_models import CreatedPost, Post, PostPage
from pipeline.broker.queues import REACHABILITY
from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.store.database import row
from tests.pipeline.api.running_server import ABSENT, BASE, Server, Tenant, until, video


def listed(server: Server, tenant: Tenant, query: str = "") -> dict[str, Any]:
    answer = server.get(f"/posts{query}", tenant.key)
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"] == "Posts retrieved"
    Success[PostPage].model_validate_json(answer.content)
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_a_new_post_is_read_back_at_once(server: Server, tenant: Tenant) -> None:
    sent = {
        **video(tenant),
        "media": {"type": "slideshow", "urls": ["https://x.y/2.jpg", "https://x.y/1.jpg"], "width": 9},
        "scheduled_at": "2099-02-01T15:00:00+02:00",
        "tiktok": {"post_mode": "MEDIA_UPLOAD", "title": None},
        "pinterest": None,
        "external_id": str(uuid4()),
        "on_late": "hold",
        "expires_at": "2099-02-02T00:00:00Z",
    }
    created = server.post(sent, tenant.key)
    assert created.status_code == 201, created.text
    Success[CreatedPost].model_validate_json(created.content)
    answer = server.get(f"/posts/{created.json()['data']['id']}", tenant.key)
    Success[Post].model_validate_json(answer.content)
    data = answer.json()["data"]
    assert data["media"] == sent["media"]
    assert data["tiktok"] == {"post_mode": "MEDIA_UPLOAD"}
    assert (data["caption"], data["external_id"]) == (sent["caption"], sent["external_id"])
    assert (data["status"], data["source"], data["on_late"]) == ("scheduled", "partner_api", "hold")
    assert (data["scheduled_at"], data["expires_at"]) == (
        "2099-02-01T13:00:00.000Z",
        "2099-02-02T00:00:00.000Z",
    )
    assert data["accounts"]["total"] == 1
    state = data["accounts"]["states"][0]
    assert (state["account_id"], state["platform"]) == (tenant.accounts["tiktok"], "tiktok")
    assert (state["status"], state["state"]) == ("scheduled", "accepted")
    assert (state["held_for"], state["next_at"]) == ("checking", None)


def test_404_for_what_is_not_there_and_what_is_no_id(server: Server, tenant: Tenant) -> None:
    for identity in (ABSENT, "x", "..%2f", "%00", UUID(ABSENT).hex):
        answer = server.get(f"/posts/{identity}", tenant.key)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found"), identity


def test_nothing_of_another_scope_is_ever_seen(server: Server, tenant: Tenant) -> None:
    stranger = server.tenant()
    external = str(uuid4())
    mine = server.post(video(tenant, external_id=external), tenant.key).json()["data"]["id"]
    foreign = server.get(f"/posts/{mine}", stranger.key)
    absent = server.get(f"/posts/{uuid4()}", stranger.key)
    assert foreign.content == absent.content
    assert listed(server, stranger)["summary"]["total"] == 0
    assert tenant.accounts["tiktok"] not in server.get("/accounts", stranger.key).text
    theirs = server.post(video(stranger, external_id=external), stranger.key)
    assert theirs.status_code == 201


def test_422_for_a_query_that_makes_no_sense(server: Server, tenant: Tenant) -> None:
    for query in ("?status=live", "?cursor=garbage", "?status=posted&state=failed"):
        answer = server.get(f"/posts{query}", tenant.key)
        assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_payload"), query


def test_401_comes_before_the_query_and_the_id(server: Server) -> None:
    for path in ("/posts?limit=0", "/posts/x", "/accounts", "/subscription"):
        assert server.get(path, None).status_code == 401


def test_the_accounts_of_a_workspace_are_the_active_ones(server: Server) -> None:
    tenant = server.tenant()
    server.sql("UPDATE accounts SET status = 'inactive' WHERE id = :id", id=tenant.accounts["instagram"])
    answer = server.get("/accounts", tenant.key)
    Success[AccountList].model_validate_json(answer.content)
    data = answer.json()["data"]
    assert (data["scope"], data["owner_user_id"], data["workspace_id"]) == (
        "workspace",
        None,
        str(tenant.workspace),
    )
    assert data["accounts"] == [
        {
            "id": tenant.accounts["tiktok"],
            "platform": "tiktok",
            "type": "byo",
            "username": "tiktok_user",
            "display_name": "tiktok user",
            "status": "active",
            "workspace_id": str(tenant.workspace),
            "health": "ok",
            "grant_ends_at": None,
        }
    ]


def test_a_personal_key_speaks_for_its_owner(server: Server) -> None:
    data = server.get("/accounts", server.tenant(kind=WorkspaceKind.PERSONAL).key).json()["data"]
    assert data["scope"] == "personal"
    assert data["workspace_id"] is None
    assert data["owner_user_id"]
    assert {account["workspace_id"] for account in data["accounts"]} == {None}


def test_the_subscription_is_readable_without_a_live_one(server: Server) -> None:
    tenant = server.tenant(Plan.SCHEDULER, Subscription.CANCELED)
    answer = server.get("/subscription", tenant.key)
    Success[KeySubscription].model_validate_json(answer.content)
    assert answer.json()["data"]["subscription"] == {"tier": "scheduler", "status": "canceled"}
    assert answer.json()["message"] == "The subscription is canceled: renew it to publish."
    live = server.get("/subscription", server.tenant().key).json()
    assert (live["message"], live["data"]["subscription"]["status"]) == ("Subscription retrieved", "active")


def test_reads_are_answered_while_many_posts_wait_for_their_checks(server: Server) -> None:
    tenant = server.tenant()
    server.context.liveness.record_beat(
        REACHABILITY
    )  # a worker seems to be alive, and none decides the checks
    with ThreadPoolExecutor(20) as clients:
        waiting = [clients.submit(post_alone, server, tenant) for _ in range(20)]
        until(lambda: open_checks(server, tenant) == 20, "all posts to wait")
        totals: list[int] = []
        while len(totals) < 20 and not any(post.done() for post in waiting):
            totals.append(listed(server, tenant)["summary"]["total"])
        assert totals[0] == 0, (
            "the posts wait for seconds, and a read is answered before the first of them is"
        )
        assert {post.result().status_code for post in waiting} == {201}
    server.context.liveness._client.flushdb()


def post_alone(server: Server, tenant: Tenant) -> requests.Response:
    """Send a post with a media URL of its own, over a connection of its own."""
    body = video(tenant, media={"type": "video", "url": f"https://cdn.example.com/{uuid4()}.mp4"})
    return requests.post(f"{server.url}{BASE}/posts", json=body, headers=tenant.headers, timeout=60)


def open_checks(server: Server, tenant: Tenant) -> int:
    with server.context.database.begin() as c:
        sql = "SELECT count(*) AS n FROM checks WHERE workspace_id = :w AND verdict IS NULL"
        found = row(c, sql, w=tenant.workspace)
    assert found is not None
    return int(found.n)


def test_a_post_is_explained_to_its_own_key_alone(server: Server, tenant: Tenant) -> None:
    sent = server.post(video(tenant, scheduled_at="2099-01-01T00:00:00Z"), tenant.key).json()["data"]["id"]
    answer = server.get(f"/posts/{sent}/explain", tenant.key)
    assert answer.status_code == 200, answer.text
    Success[PostExplanation].model_validate_json(answer.content)
    [account] = answer.json()["data"]["accounts"]
    assert (account["state"], account["held_for"], account["turn"]) == ("accepted", "checking", "us")
    assert account["evidence"]["checks"][0]["url"] == "https://cdn.example.com/v.mp4"
    assert account["evidence"]["grant"] == {"status": "active", "ends_at": None}
    stranger = server.tenant()
    for identity, key in ((sent, stranger.key), (ABSENT, tenant.key), ("x", tenant.key)):
        refused = server.get(f"/posts/{identity}/explain", key)
        assert (refused.status_code, refused.json()["error_code"]) == (404, "not_found")
