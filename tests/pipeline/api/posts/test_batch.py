"""POST /posts/batch over HTTP: one result per post, as POST /posts would answer; all or none if asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
import requests

from pipeline.api.http.response_models import Success
from pipeline.api.posts.batch import BatchResult
from pipeline.domain.account import KeyLimits
from tests.pipeline.api.running_server import ABSENT, BASE, Server, Tenant, ask, video

LATER = "2090-01-01T00:00:00Z"
PATH = f"{BASE}/posts/batch"
Body = dict[str, Any]


def send(server: Server, key: str | None, posts: Any, **more: Any) -> requests.Response:
    return ask(server, key, "POST", PATH, {"posts": posts, **more})


def results(answer: requests.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    Success[BatchResult].model_validate_json(answer.content)
    found: list[Any] = answer.json()["data"]["results"]
    return found


def codes(answer: requests.Response) -> list[tuple[int, str | None]]:
    return [(result["code"], result.get("error_code")) for result in results(answer)]


def stored(server: Server, tenant: Tenant) -> dict[str, Any]:
    """Return the posts of the tenant by caption."""
    found = server.sql(
        "SELECT id, caption, xmin::text AS txid FROM posts WHERE workspace_id = :w", w=tenant.workspace
    )
    return {r.caption: r for r in found}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    """A tenant of its own, without posts."""
    return server.tenant()


BROKEN: Sequence[Callable[[Tenant], Any]] = (
    lambda _: "no post",
    lambda t: {**video(t), "captoin": "x"},
    lambda t: video(t, caption="NUL \0"),
    lambda t: video(t, caption="half \ud800"),
    lambda t: video(t, accounts=[{"id": ABSENT}]),
    lambda t: video(t, scheduled_at="2020-01-01T00:00:00Z"),
    lambda t: video(t, music_url="https://elsewhere.example/1"),
    lambda t: video(t, "instagram", tiktok={"title": "x"}),
    lambda t: {**video(t), **{f"key {n}": n for n in range(101)}},
)


def timeless(answer: Body) -> Body:
    """Drop the server's clock, which one message quotes."""
    found: Body = json.loads(re.sub(r" \(now .*?\)", "", json.dumps(answer)))
    return found


def test_each_post_has_the_answer_it_would_have_alone_in_order(server: Server, tenant: Tenant) -> None:
    bodies = [make(tenant) for make in BROKEN]
    alone = [server.post(body, tenant.key).json() for body in bodies]
    good = [video(tenant, scheduled_at=LATER) for _ in bodies]
    mixed = [body for pair in zip(bodies, good, strict=True) for body in pair]
    answer = send(server, tenant.key, mixed)
    found = results(answer)
    assert [timeless(one) for one in found[::2]] == [timeless(one) for one in alone]
    assert codes(answer)[1::2] == [(201, None)] * len(good), "those beside them"
    for body, result in zip(good, found[1::2], strict=True):
        shown = server.get(f"/posts/{result['data']['id']}", tenant.key).json()["data"]
        assert shown["caption"] == body["caption"]
        assert (shown["status"], shown["scheduled_at"]) == ("scheduled", LATER.replace("Z", ".000Z"))
        assert [w["code"] for w in result["data"]["warnings"]][:1] == ["REACHABILITY_PENDING"]
    counts = answer.json()["data"]
    assert (counts["accepted"], counts["duplicates"], counts["refused"]) == (
        len(good),
        0,
        len(bodies),
    )
    assert stored(server, tenant).keys() == {body["caption"] for body in good}


def test_a_batch_is_one_transaction_of_up_to_500_posts(server: Server, tenant: Tenant) -> None:
    """Of every field: they are not too many parts for one body."""
    urls = [f"https://cdn.example.com/{n}.jpg" for n in range(35)]
    every: Body = {
        "media": {"type": "slideshow", "urls": urls},
        "tiktok": {"title": "t", "disable_comment": True},
    }
    bodies = [video(tenant, scheduled_at=LATER, **every) for _ in range(500)]
    assert codes(send(server, tenant.key, bodies)) == [(201, None)] * 500
    assert len({r.txid for r in stored(server, tenant).values()}) == 1
    refused = send(server, tenant.key, [*bodies, video(tenant)])
    assert (refused.status_code, refused.json()["issues"]) == (
        422,
        [{"path": "posts", "message": "500 at most; there are 501.", "type": "too_long"}],
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{}", "posts"),
        (b'{"posts": []}', "posts"),
        (b'{"posts": [{}], "atomic": 1}', "atomic"),
        (b'{"posts": [{}], "\\u0000": true}', ""),
    ],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(
    server: Server, tenant: Tenant, body: bytes, path: str
) -> None:
    answer = ask(server, tenant.key, "POST", PATH, body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_payload")
    assert answer.json()["issues"][0]["path"] == path


def test_a_repeat_finds_every_post_and_makes_none(server: Server, tenant: Tenant) -> None:
    bodies = [
        video(tenant, scheduled_at=LATER, external_id=str(uuid4())),
        video(tenant, scheduled_at=LATER),
    ]
    first = send(server, tenant.key, bodies)
    again = send(server, tenant.key, [*bodies, bodies[0], {**bodies[0], "caption": "another"}])
    assert codes(again) == [(200, None)] * 3 + [(409, "create_failed")]
    assert [r["data"]["id"] for r in results(again)[:2]] == [r["data"]["id"] for r in results(first)]
    assert all(r["data"]["duplicate"] for r in results(again)[:3])
    assert server.post(bodies[0], tenant.key).json()["data"]["duplicate"], "POST /posts finds it too"
    assert again.json()["data"]["duplicates"] == 3
    assert len(stored(server, tenant)) == 2


def list_refused(answer: requests.Response) -> list[tuple[str, str, str]]:
    """Return path, type and error code of each issue; a message begins with the code."""
    return [(one["path"], one["type"], one["message"].split(": ")[0]) for one in answer.json()["issues"]]


def test_an_atomic_batch_with_a_refused_post_stores_nothing_and_names_it(
    server: Server, tenant: Tenant
) -> None:
    good = video(tenant, scheduled_at=LATER, external_id="good")
    answer = send(
        server,
        tenant.key,
        [good, video(tenant, caption=""), video(tenant, accounts=[{"id": ABSENT}])],
        atomic=True,
    )
    assert (answer.status_code, answer.json()["error_code"]) == (400, "batch_refused")
    assert list_refused(answer) == [
        ("posts.1.caption", "blank", "invalid_payload"),
        ("posts.2.accounts", "rule", "unknown_accounts"),
    ]
    assert answer.json()["message"].startswith("2 of 3 posts are refused, so nothing was stored. Post 1: ")
    assert stored(server, tenant) == {}
    assert not server.sql("SELECT id FROM checks WHERE workspace_id = :w", w=tenant.workspace)
    assert codes(send(server, tenant.key, [good], atomic=True)) == [(201, None)], "its id is free"


def test_a_replay_counts_as_good_in_an_atomic_batch_and_another_body_does_not(
    server: Server, tenant: Tenant
) -> None:
    old, new = video(tenant, external_id="old"), video(tenant, external_id="new")
    server.post(old, tenant.key)
    other = send(server, tenant.key, [new, {**old, "caption": "another"}], atomic=True)
    assert list_refused(other) == [("posts.1", "rule", "create_failed")]
    assert len(stored(server, tenant)) == 1
    assert codes(send(server, tenant.key, [new, old], atomic=True)) == [(201, None), (200, None)]
    assert len(stored(server, tenant)) == 2


def test_the_rate_counts_posts(server: Server, tenant: Tenant) -> None:
    limited = server.key(tenant, limits=KeyLimits(posts_per_minute=10))
    answer = send(server, limited, [video(tenant) for _ in range(8)])
    assert answer.headers["RateLimit-Remaining"] == "2"
    beyond = send(server, limited, [video(tenant) for _ in range(8)])
    assert (beyond.status_code, beyond.json()["error_code"]) == (429, "rate_limited")
    never = send(server, limited, [video(tenant) for _ in range(11)])
    assert (never.status_code, never.json()["error_code"]) == (400, "validation_failed")
    assert never.json()["message"] == (
        "This key may send 10 posts a minute, so 10 at most in one batch; there are 11."
    )
    assert len(stored(server, tenant)) == 8


def test_a_body_may_have_16_mb(server: Server, tenant: Tenant) -> None:
    most = server.context.settings.api.max_batch_body
    assert most == 16_000_000
    padded = json.dumps({"posts": [video(tenant)], "pad": ""}).encode()[:-2] + b"x" * most
    body = padded[: most - 2] + b'"}'
    within = ask(server, tenant.key, "POST", PATH, body)
    assert within.json()["issues"][0]["path"] == "pad", "it is read"
    over = ask(server, tenant.key, "POST", PATH, body + b" ")
    assert (over.status_code, over.json()["error_code"]) == (413, "payload_too_large")
