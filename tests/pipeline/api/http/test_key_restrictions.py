"""What restricted keys may see and do, checked over HTTP for every operation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from pipeline.domain.account import Plan, Subscription
from pipeline.store.auth.keys import rotate_key
from tests.pipeline.api.running_server import ABSENT, BASE, Server, Tenant, ask, code, video

NO_JOB = "00000000-0000-7000-8000-00000000000f"
LATER = "2090-01-01T00:00:00Z"
READING = {
    "explainPost",
    "exportPosts",
    "getAccount",
    "getApproval",
    "getImport",
    "getImportForecast",
    "listImportPresets",
    "getImportTemplateCsv",
    "getImportTemplateXlsx",
    "getKey",
    "getPost",
    "getSteeringJob",
    "getSubscription",
    "getWebhook",
    "listAccounts",
    "listEvents",
    "listFiles",
    "listImportRows",
    "listImports",
    "listPosts",
    "listSteeringJobs",
    "listSteeringReceipts",
    "listWebhookEvents",
    "listWebhooks",
}
"""The operations of a read-only key. A new operation is refused to it unless it is added here."""


def created(server: Server, tenant: Tenant, *platforms: str, by: str | None = None, **more: Any) -> str:
    more = {"scheduled_at": LATER, "accounts": [{"id": tenant.accounts[p]} for p in platforms], **more}
    answer = server.post(video(tenant, **more), by or tenant.key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


def steer(server: Server, who: str, verb: str, *posts: str, **more: Any) -> requests.Response:
    return ask(server, who, "POST", f"/posts/{verb}", {"post_ids": list(posts), **more})


def operations(server: Server) -> Iterator[tuple[str, str, str]]:
    """Yield the id, method and a path of every operation that needs a key."""
    for path, item in server.send("GET", "/openapi.json").json()["paths"].items():
        for method, operation in item.items():
            if operation.get("security"):
                address = path.replace("{post_id}", ABSENT).replace("{platform}", "tiktok")
                for name in ("{import_id}", "{job_id}", "{webhook_id}", "{account_id}"):
                    address = address.replace(name, NO_JOB)
                assert "{" not in address, f"{path}: fill in its parameter here"
                yield operation["operationId"], method.upper(), address


@pytest.fixture(scope="module")
def bound(server: Server, tenant: Tenant) -> str:
    """A key restricted to the TikTok account."""
    return server.key(tenant, "tiktok")


# --- read-only keys --------------------------------------------------------------------------------------------------


def test_a_read_only_key_reads_and_is_refused_everything_else(server: Server, tenant: Tenant) -> None:
    reader, post = server.key(tenant, read_only=True), created(server, tenant, "tiktok")
    seen = set()
    for name, method, address in operations(server):
        answer = ask(server, reader, method, address.removeprefix(BASE))
        if answer.ok and answer.headers["Content-Type"] != "application/json":
            seen.add(name)
        elif code(answer) == (403, "insufficient_scope"):
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        else:
            assert answer.status_code in (200, 404), name
            seen.add(name)
    assert seen <= READING
    assert {"getPost", "getSubscription", "listAccounts", "listPosts"} <= seen
    assert server.get(f"/posts/{post}", reader).json()["data"]["status"] == "scheduled"


def test_a_read_only_key_is_told_of_its_plan_first(server: Server) -> None:
    lapsed = server.tenant(Plan.BUSINESS, Subscription.CANCELED)
    assert code(server.post({}, server.key(lapsed, read_only=True))) == (402, "subscription_required")


# --- keys restricted to accounts -------------------------------------------------------------------------------------


def test_a_bound_key_lists_and_counts_only_what_goes_to_none_but_its_accounts(server: Server) -> None:
    tenant = server.tenant()
    bound = server.key(tenant, "tiktok")
    for platforms in (("instagram",), ("tiktok", "instagram"), ("tiktok",)) * 2:
        created(server, tenant, *platforms)
    mine = [p["id"] for p in server.get("/posts", tenant.key).json()["data"]["posts"]]
    page = server.get("/posts", bound).json()["data"]
    assert [p["id"] for p in page["posts"]] == [mine[0], mine[3]]
    assert (page["summary"]["total"], page["summary"]["by_status"]["scheduled"]) == (2, 2)
    first = server.get("/posts?limit=1", bound).json()["data"]
    second = server.get(f"/posts?limit=1&cursor={first['next_cursor']}", bound).json()["data"]
    assert [p["id"] for p in (*first["posts"], *second["posts"])] == [mine[0], mine[3]]
    assert second["next_cursor"] is None
    accounts = server.get("/accounts", bound).json()["data"]["accounts"]
    assert [a["id"] for a in accounts] == [tenant.accounts["tiktok"]]


def test_a_post_out_of_sight_is_answered_exactly_as_one_that_is_not_there(
    server: Server, tenant: Tenant, bound: str
) -> None:
    post = created(server, tenant, "tiktok", "instagram")
    unchanged = server.get(f"/posts/{post}", tenant.key).json()
    for body in ({"external_id": "x"}, {"accounts": [{"id": tenant.accounts["tiktok"]}]}):
        seen = ask(server, bound, "PATCH", f"/posts/{post}", body)
        assert seen.content == ask(server, bound, "PATCH", f"/posts/{ABSENT}", body).content
        assert code(seen) == (404, "not_found")
    for part, body in (
        ("schedule", {}),
        ("approve", {"hash": "0" * 64}),
        ("send-back", {"hash": "0" * 64, "why": "x"}),
    ):
        seen = ask(server, bound, "POST", f"/posts/{post}/{part}", body)
        assert seen.content == ask(server, bound, "POST", f"/posts/{ABSENT}/{part}", body).content
    for part in ("", "/explain", "/approval"):
        seen = server.get(f"/posts/{post}{part}", bound)
        assert seen.content == server.get(f"/posts/{ABSENT}{part}", bound).content
    for verb in ("retry", "cancel", "delete"):
        for more in ({}, {"account_ids": [tenant.accounts["tiktok"]]}) if verb != "delete" else ({},):
            seen = steer(server, bound, verb, post, **more)
            assert seen.text.replace(post, ABSENT) == steer(server, bound, verb, ABSENT, **more).text
    assert server.get(f"/posts/{post}", tenant.key).json() == unchanged


def test_every_operation_on_a_post_is_asked_above(server: Server) -> None:
    asked = {
        "explainPost",
        "getPost",
        "updatePost",
        "schedulePost",
        "getApproval",
        "approvePost",
        "sendBackPost",
        "createApprovalLink",
        "retryPosts",
        "cancelPosts",
        "deletePosts",
    }
    assert {name for name, _, address in operations(server) if ABSENT in address} <= asked


def test_an_account_out_of_sight_is_answered_exactly_as_one_that_is_not_there(
    server: Server, tenant: Tenant, bound: str
) -> None:
    own, theirs = created(server, tenant, "tiktok"), tenant.accounts["instagram"]
    body = {**video(tenant), "scheduled_at": LATER}

    def asked(account: str) -> list[str]:
        named = {"accounts": [{"id": account}]}
        return [
            answer.text.replace(account, ABSENT)
            for answer in (
                server.post({**body, **named}, bound),
                ask(server, bound, "PATCH", f"/posts/{own}", named),
                ask(server, bound, "POST", "/posts/validate", {**body, **named}),
                ask(server, bound, "POST", "/connect/instagram", {"reconnect": account}),
                steer(server, bound, "cancel", own, account_ids=[account]),
            )
        ]

    assert asked(theirs) == asked(ABSENT)
    assert server.get(f"/posts/{own}", bound).json()["data"]["status"] == "scheduled"


def test_a_bound_key_connects_no_account_that_it_would_not_see(
    server: Server, tenant: Tenant, bound: str
) -> None:
    assert code(ask(server, bound, "POST", "/connect/tiktok", {})) == (403, "insufficient_scope")


def test_a_post_that_is_put_on_another_account_goes_out_of_sight(
    server: Server, tenant: Tenant, bound: str
) -> None:
    post = created(server, tenant, "tiktok", by=bound)
    both = {"accounts": [{"id": tenant.accounts[p]} for p in ("tiktok", "instagram")]}
    assert code(ask(server, bound, "PATCH", f"/posts/{post}", both)) == (400, "unknown_accounts")
    assert ask(server, tenant.key, "PATCH", f"/posts/{post}", both).status_code == 200
    assert code(server.get(f"/posts/{post}", bound)) == (404, "not_found")
    one = {"accounts": both["accounts"][:1]}
    assert ask(server, tenant.key, "PATCH", f"/posts/{post}", one).status_code == 200
    assert code(server.get(f"/posts/{post}", bound)) == (404, "not_found"), "it still shows that it was there"


def test_no_external_id_or_body_tells_a_bound_key_of_a_post_out_of_sight(
    server: Server, tenant: Tenant, bound: str
) -> None:
    external = os.urandom(8).hex()
    theirs = created(server, tenant, "instagram", external_id=external)
    body = video(tenant, external_id=external, scheduled_at=LATER)
    mine = server.post(body, bound)
    assert mine.status_code == 201
    assert server.post(body, bound).json()["data"]["id"] == mine.json()["data"]["id"] != theirs
    assert code(server.post({**body, "caption": "other"}, bound)) == (409, "create_failed")
    whole = server.post(video(tenant, scheduled_at=LATER, caption="the same"), tenant.key)
    again = server.post(video(tenant, scheduled_at=LATER, caption="the same"), bound)
    assert (whole.status_code, again.status_code) == (201, 201)
    answer = ask(
        server, bound, "POST", "/posts/validate", video(tenant, external_id=external, caption="third")
    )
    assert theirs not in answer.text


# --- expiry and rotation ---------------------------------------------------------------------------------------------


def test_an_expired_key_is_no_key(server: Server, tenant: Tenant) -> None:
    over = server.key(tenant, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert code(server.get("/accounts", over)) == (401, "invalid_token")
    good = server.key(tenant, expires_at=datetime.now(UTC) + timedelta(days=1))
    assert server.get("/accounts", good).status_code == 200


def test_a_rotated_key_is_the_same_key_to_the_api(server: Server, tenant: Tenant) -> None:
    old = server.key(tenant, "tiktok")
    external = os.urandom(8).hex()
    body = video(tenant, external_id=external)
    first = server.post(body, old).json()["data"]["id"]
    with server.context.database.begin() as c:
        new = rotate_key(c, old.partition(".")[0], timedelta(hours=1))
    assert new is not None
    again = server.post(body, new)
    assert (again.status_code, again.json()["data"]["id"]) == (200, first)
    assert server.get("/accounts", old).status_code == 200
    assert code(server.get("/accounts", old[:-1] + ("a" if old[-1] != "a" else "b"))) == (
        401,
        "invalid_token",
    )
