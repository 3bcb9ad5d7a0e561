"""Idempotency-Key on every operation that makes something: replays, conflicts, scopes, many requests at once."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from pipeline.api.app import OPERATIONS
from pipeline.store.database import rows
from pipeline.webhooks.webhooks import MAX_WEBHOOKS
from tests.pipeline.api.imports.importing import write_lines
from tests.pipeline.api.running_server import BASE, Server, Tenant, ask, video

LATER = "2090-01-01T00:00:00Z"
MAKES_NOTHING_TWICE = {
    "createPost": "takes the header as external_id",
    "retryPosts": "only failed posts: a repeat finds them retried",
    "cancelPosts": "a canceled post stays canceled",
    "deletePosts": "a deleted post stays deleted",
    "validatePost": "stores nothing",
    "approvePost": "an approved post stays approved",
    "sendBackPost": "a post that was sent back stays so",
    "createApprovalLink": "a link makes no post, and its token is a secret that is not kept; it ends by itself",
    "stopSteeringJob": "a stopped job stays stopped",
    "undoSteeringJob": "a job has one undo",
    "applyImport": "an import is applied once",
    "pauseImport": "a state of an import",
    "resumeImport": "a state of an import",
    "cancelImport": "a state of an import",
    "rollBackImport": "an import is rolled back once",
    "replayWebhookEvents": "events keep their ids",
    "connectAccount": "a link makes no account, and its state is a secret that is not kept; it expires in ten minutes",
    "connectChoice": "its ticket is valid once",
    "connectDeauthorize": "the same request changes nothing more",
    "replayDeadLetters": "a replayed dead letter is none any more",
    "discardDeadLetters": "a discarded dead letter is none any more",
}
"""POST operations without the header's protection, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that makes something, another with the same key, and how to count what was made."""

    build: Callable[[Server, Tenant], tuple[str, Any]]
    other: Callable[[Any], Any]
    table: str
    secret: str | None = None
    content_type: str = "application/json"


def _webhook(_server: Server, _tenant: Tenant) -> tuple[str, Any]:
    return "/webhooks", {"url": "https://hooks.example/slipway", "events": ["post.posted"]}


def _of_webhook(verb: str) -> Callable[[Server, Tenant], tuple[str, Any]]:
    def build(server: Server, tenant: Tenant) -> tuple[str, Any]:
        made = send(server, tenant.key, *_webhook(server, tenant)).json()["data"]["id"]
        return f"/webhooks/{made}/{verb}", None

    return build


def _file(_server: Server, _tenant: Tenant) -> tuple[str, Any]:
    return "/files", {"contentType": "image/png", "filename": "mug.png"}


def _posts(tenant: Tenant, number: int = 3) -> list[Any]:
    return [{**video(tenant, scheduled_at=LATER), "caption": f"Mug {n}"} for n in range(number)]


def _batch(_server: Server, tenant: Tenant) -> tuple[str, Any]:
    return "/posts/batch", {"posts": [*_posts(tenant), {"caption": ""}]}


def _import(_server: Server, tenant: Tenant) -> tuple[str, Any]:
    return "/imports", write_lines(*_posts(tenant))


def _draft(server: Server, tenant: Tenant) -> tuple[str, Any]:
    made = server.post(video(tenant, draft=True, scheduled_at=None, caption=os.urandom(8).hex()), tenant.key)
    return f"/posts/{made.json()['data']['id']}/schedule", {"scheduled_at": LATER}


def _steer(server: Server, tenant: Tenant) -> tuple[str, Any]:
    assert send(server, tenant.key, "/posts/batch", {"posts": _posts(tenant)}).status_code == 200
    return "/posts/steer", {"verb": "pause", "filter": {"platform": "tiktok"}, "confirm": True}


CASES: Mapping[str, Case] = {
    "createWebhook": Case(
        build=_webhook,
        other=lambda b: {**b, "events": ["post.failed"]},
        table="webhooks",
        secret="secret",
    ),
    "rotateWebhookSecret": Case(
        build=_of_webhook("rotate"),
        other=lambda _: None,
        table="audit WHERE verb = 'rotate' AND",
        secret="secret",
    ),
    "testWebhook": Case(
        build=_of_webhook("test"),
        other=lambda _: None,
        table="webhook_events e JOIN webhooks w ON w.id = e.webhook_id",
    ),
    "schedulePost": Case(
        build=_draft, other=lambda _: {"scheduled_at": None}, table="audit WHERE verb = 'edit' AND"
    ),
    "createFile": Case(build=_file, other=lambda b: {**b, "filename": "cup.png"}, table="files"),
    "createPosts": Case(build=_batch, other=lambda b: {"posts": b["posts"][:2]}, table="posts"),
    "createImport": Case(
        build=_import, other=lambda b: b + b, table="imports", content_type="application/x-ndjson"
    ),
    "steerPosts": Case(build=_steer, other=lambda b: {**b, "verb": "cancel"}, table="steering_jobs"),
}


@pytest.fixture
def server(two: list[Server]) -> Server:
    return two[0]


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def send(
    server: Server, key: str, path: str, body: Any, name: str | None = None, content_type: str = ""
) -> requests.Response:
    headers = {"Content-Type": content_type or "application/json"}
    if name is not None:
        headers["Idempotency-Key"] = name
    return ask(server, key, "POST", path, body, **headers)


def count(server: Server, tenant: Tenant, case: Case) -> int:
    table = case.table if case.table.endswith("AND") else f"{case.table} WHERE"
    with server.context.database.begin() as c:
        sql = f"SELECT count(*) AS n FROM {table} workspace_id = :w"  # noqa: S608  a constant
        [found] = rows(c, sql, w=tenant.workspace)
    return int(found.n)


def name() -> str:
    return f"key {os.urandom(8).hex()}"


def at_once(number: int, one: Callable[[int], requests.Response]) -> list[requests.Response]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_every_post_that_makes_something_takes_a_key() -> None:
    posts = {one.id: one for one in OPERATIONS if one.method == "POST"}
    taking = {name for name, one in posts.items() if one.takes_key}
    assert taking == CASES.keys(), "each needs a case here"
    assert posts.keys() - taking == MAKES_NOTHING_TWICE.keys(), "give it takes_key, or a reason here"
    for one in (posts[name] for name in taking):
        assert "idempotency_key_reused" in str(one.errors[409])
        assert one.status == 200 or one.repeated, "a replay answers 200"


@pytest.mark.parametrize("operation", CASES)
def test_a_replay_returns_what_was_made_without_its_secret_and_says_so(
    two: list[Server], tenant: Tenant, operation: str
) -> None:
    case, key = CASES[operation], name()
    path, body = case.build(two[0], tenant)
    first = send(two[0], tenant.key, path, body, key, case.content_type)
    assert first.status_code in (200, 201, 202), first.text
    assert "Idempotency-Replayed" not in first.headers
    made = count(two[0], tenant, case)
    again = send(two[1], tenant.key, path, body, key, case.content_type)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true"), again.text
    assert "before" in again.json()["message"]
    assert count(two[0], tenant, case) == made
    assert ids(again) == ids(first)
    if case.secret is not None:
        assert first.json()["data"][case.secret]
        assert case.secret not in again.json()["data"]


def ids(answer: requests.Response) -> Any:
    data = answer.json()["data"]
    if "results" in data:
        return [one.get("data", {}).get("id") for one in data["results"]]
    if "job" in data:
        return data["job"]["id"]
    return data["parameters"]["file_id"] if "parameters" in data else data["id"]


@pytest.mark.parametrize("operation", CASES)
def test_another_request_with_the_key_is_refused_and_makes_nothing(
    server: Server, tenant: Tenant, operation: str
) -> None:
    case, key = CASES[operation], name()
    path, body = case.build(server, tenant)
    assert send(server, tenant.key, path, body, key, case.content_type).ok
    other_path, other_body = path, case.other(body)
    if other_body is None:  # then its webhook is another one
        other_path, _ = case.build(server, tenant)
    made = count(server, tenant, case)
    answer = send(server, tenant.key, other_path, other_body, key, case.content_type)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "idempotency_key_reused"), answer.text
    assert "Idempotency-Key" in answer.json()["message"]
    assert count(server, tenant, case) == made


@pytest.mark.parametrize("operation", CASES)
def test_equal_requests_at_once_make_one_resource(two: list[Server], tenant: Tenant, operation: str) -> None:
    case, key = CASES[operation], name()
    path, body = case.build(two[0], tenant)
    before = count(two[0], tenant, case)
    answers = at_once(6, lambda n: send(two[n % 2], tenant.key, path, body, key, case.content_type))
    shown = Counter(answer.headers.get("Idempotency-Replayed") for answer in answers)
    assert shown == {None: 1, "true": 5}, [(a.status_code, a.text) for a in answers]
    assert len({json.dumps(ids(answer)) for answer in answers}) == 1
    assert count(two[0], tenant, case) - before == (3 if operation == "createPosts" else 1)


def test_keys_are_scoped_to_caller_and_operation(server: Server, tenant: Tenant) -> None:
    key = name()
    other = server.key(tenant)
    answers = [
        send(server, tenant.key, *_webhook(server, tenant), key),
        send(server, other, *_webhook(server, tenant), key),
        send(server, server.tenant().key, *_webhook(server, tenant), key),
        send(server, tenant.key, *_file(server, tenant), key),
    ]
    assert [a.status_code for a in answers] == [201] * 4, [a.text for a in answers]
    assert len({ids(answer) for answer in answers}) == 4


BAD_KEYS = [*((name, "k" * 256) for name in CASES), ("createFile", ""), ("createFile", "caf\u00e9")]


@pytest.mark.parametrize(("operation", "value"), BAD_KEYS)
def test_a_key_that_is_none_is_refused_by_its_name(
    server: Server, tenant: Tenant, operation: str, value: str
) -> None:
    case = CASES[operation]
    path, body = case.build(server, tenant)
    before = count(server, tenant, case)
    answer = send(server, tenant.key, path, body, value, case.content_type)
    assert answer.status_code == 422, answer.text
    assert [issue["path"] for issue in answer.json()["issues"]] == ["Idempotency-Key"]
    assert count(server, tenant, case) == before


def test_a_refused_request_leaves_its_key_free(server: Server, tenant: Tenant) -> None:
    key = name()
    bad: dict[str, Any] = {"atomic": True, "posts": [*_posts(tenant, 1), {"caption": ""}]}
    assert send(server, tenant.key, "/posts/batch", bad, key).status_code == 400
    good = send(server, tenant.key, "/posts/batch", {**bad, "posts": bad["posts"][:1]}, key)
    assert (good.status_code, good.json()["data"]["accepted"]) == (200, 1)


def test_a_repeated_scheduling_is_answered_with_the_post_as_it_is_now(server: Server, tenant: Tenant) -> None:
    key, (path, body) = name(), _draft(server, tenant)
    first = send(server, tenant.key, path, body, key).json()["data"]
    identity = first["id"]
    later = {"scheduled_at": "2091-01-01T00:00:00.000Z"}
    assert ask(server, tenant.key, "PATCH", f"/posts/{identity}", later).ok
    again = send(server, tenant.key, path, body, key)
    assert {**again.json()["data"], "warnings": []} == {**first, **later, "warnings": []}
    assert {one["code"] for one in again.json()["data"]["warnings"]} >= {"REACHABILITY_PENDING"}
    assert again.headers["ETag"] == server.get(f"/posts/{identity}", tenant.key).headers["ETag"]
    without = send(server, tenant.key, path, body)
    assert (without.status_code, without.json()["error_code"]) == (400, "validation_failed")
    assert send(server, tenant.key, "/posts/delete", {"postIds": [identity]}).ok
    gone = send(server, tenant.key, path, body, key)
    assert (gone.status_code, gone.json()["error_code"]) == (404, "not_found")


def test_what_was_removed_since_is_not_made_again(server: Server, tenant: Tenant) -> None:
    key, (path, body) = name(), _webhook(server, tenant)
    made = ids(send(server, tenant.key, path, body, key))
    assert server.send("DELETE", f"{BASE}/webhooks/{made}", tenant.key).ok
    answer = send(server, tenant.key, path, body, key)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
    assert "Use a new key" in answer.json()["message"]


def test_a_replayed_batch_makes_no_post_again_that_was_deleted_since(server: Server, tenant: Tenant) -> None:
    key, (path, body) = name(), _batch(server, tenant)
    first = send(server, tenant.key, path, body, key).json()["data"]["results"]
    deleted = {"postIds": [first[0]["data"]["id"]]}
    assert send(server, tenant.key, "/posts/delete", deleted).ok
    again = send(server, tenant.key, path, body, key).json()["data"]
    assert (again["accepted"], again["duplicates"], again["refused"]) == (0, 3, 1)
    assert again["results"][0]["data"]["deleted"] is True


def test_a_count_makes_nothing_and_takes_no_key(server: Server, tenant: Tenant) -> None:
    key, (path, body) = name(), _steer(server, tenant)
    counted = send(server, tenant.key, path, {**body, "confirm": False}, key)
    confirmed = send(server, tenant.key, path, body, key)
    assert (counted.json()["data"]["job"], confirmed.status_code) == (None, 200)
    assert confirmed.json()["data"]["job"]


def test_the_upload_of_a_replay_can_be_used(server: Server, tenant: Tenant) -> None:
    key, (path, body) = name(), _file(server, tenant)
    first, again = (send(server, tenant.key, path, body, key).json()["data"] for _ in range(2))
    assert again["url"] == first["url"]
    put = requests.put(
        again["uploadUrl"],
        data=b"\x89PNG\r\n\x1a\nbytes",
        headers={"Content-Type": "image/png"},
        timeout=30,
    )
    assert put.status_code == 200, put.text


def test_a_workspace_never_has_more_webhooks_than_it_may(two: list[Server], tenant: Tenant) -> None:
    path, body = _webhook(two[0], tenant)
    answers = at_once(30, lambda n: send(two[n % 2], tenant.key, path, body))
    assert Counter(answer.status_code for answer in answers) == {201: MAX_WEBHOOKS, 400: 30 - MAX_WEBHOOKS}
    shown = two[0].get("/webhooks", tenant.key).json()["data"]["webhooks"]
    assert len(shown) == MAX_WEBHOOKS
