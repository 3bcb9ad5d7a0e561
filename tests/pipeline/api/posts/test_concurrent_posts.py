"""Many clients at once: each request of a batch gets the response that it would get alone."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from pipeline.store.checks import checks
from pipeline.store.posts.pages import list_posts
from tests.pipeline.api.running_server import ABSENT, BASE, Server, Tenant, ask

URL = "https://cdn.example.com/seen.jpg"
FACTS = {"content_type": "image/jpeg", "bytes": 90_000, "width": 1080, "height": 1080}


@pytest.fixture
def seen(two: list[Server]) -> Tenant:
    """A tenant with an image whose check is decided good."""
    tenant = two[0].tenant()
    with two[0].context.database.begin() as c:
        check = checks.open_check(c, tenant.workspace, "image", URL)
        checks.decide_check(c, check.id, "good", facts=FACTS, seen="ok")
    return tenant


def body(tenant: Tenant, **more: Any) -> dict[str, Any]:
    return {
        "caption": f"A picture {os.urandom(4).hex()}",
        "media": {"type": "slideshow", "urls": [URL]},
        "accounts": [{"id": tenant.accounts["tiktok"]}],
        "scheduled_at": "2098-01-01T00:00:00Z",
        **more,
    }


def at_once(servers: list[Server], tenant: Tenant, bodies: list[dict[str, Any]]) -> list[requests.Response]:
    def send(n: int) -> requests.Response:
        url = f"{servers[n % len(servers)].url}{BASE}/posts"
        return requests.post(url, json=bodies[n], headers=tenant.headers, timeout=60)

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, range(len(bodies))))


def stored(server: Server, tenant: Tenant) -> int:
    with server.context.database.begin() as c:
        return len(list_posts(c, tenant.workspace, limit=1000))


def test_equal_requests_at_two_servers_make_one_post_and_get_one_answer(
    two: list[Server], seen: Tenant
) -> None:
    for more in ({}, {"external_id": "the same"}):
        before = stored(two[0], seen)
        found = at_once(two, seen, [body(seen, **more)] * 24)
        assert Counter(a.status_code for a in found) == {201: 1, 200: 23}
        answers = [a.json()["data"] for a in found]
        assert len({a["id"] for a in answers}) == 1
        assert {(a["status"], a["scheduled_at"]) for a in answers} == {
            ("scheduled", "2098-01-01T00:00:00.000Z")
        }
        assert stored(two[0], seen) == before + 1


def test_bad_requests_among_good_ones_get_their_own_answers(two: list[Server], seen: Tenant) -> None:
    wrong: list[tuple[int, str, dict[str, Any]]] = [
        (400, "unknown_accounts", {"accounts": [{"id": ABSENT}]}),
        (400, "missing_accounts", {"accounts": []}),
        (400, "validation_failed", {"scheduled_at": "2020-01-01T00:00:00Z"}),
        (422, "invalid_payload", {"caption": ""}),
        (400, "invalid_music_url", {"music_url": "https://elsewhere.example/1"}),
    ]
    good = [body(seen) for _ in range(20)]
    bad = [body(seen, **more) for _, _, more in wrong] * 2
    found = at_once(two, seen, [b for pair in zip(good[:10], bad, strict=True) for b in pair] + good[10:])
    assert [a.status_code for a in found[0:20:2] + found[20:]] == [201] * 20
    assert [(a.status_code, a.json()["error_code"]) for a in found[1:20:2]] == [
        (s, c) for s, c, _ in wrong
    ] * 2
    assert stored(two[0], seen) == 20


def test_a_short_way_is_no_other_way(two: list[Server], seen: Tenant) -> None:
    """Another spelling of the path is matched by FastAPI's route, with the same responses."""
    asked = body(seen, external_id="short")
    short = two[0].post(asked, seen.key)
    long = ask(two[0], seen.key, "POST", "/%70osts", asked)
    assert (short.status_code, long.status_code) == (201, 200)
    assert short.json()["data"]["id"] == long.json()["data"]["id"]
    assert {k.lower() for k in short.headers} == {k.lower() for k in long.headers}
