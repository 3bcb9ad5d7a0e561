"""Unknown query parameters: a near miss is refused, others are ignored and named."""

from __future__ import annotations

import pytest

from pipeline.api.http.validation import name_ignored, refuse_near_misses
from pipeline.stages.post_request import Refusal
from tests.pipeline.api.running_server import BASE, Server, Tenant

KNOWN = ("status", "limit", "since", "until", "cursor")


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/posts?Status=failed", "status"),
        ("/posts?status=failed&limits=2", "limit"),
        ("/files?typ=image", "type"),
    ],
)
def test_a_near_miss_is_refused_with_the_known_name(
    server: Server, tenant: Tenant, path: str, near: str
) -> None:
    answer = server.get(path, tenant.key)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_payload")
    assert (
        answer.json()["issues"][0]["message"] == f"There is no such query parameter; did you mean `{near}`?"
    )
    assert near in answer.json()["message"]


@pytest.mark.parametrize("path", ["/posts?limit=5&offset=50", "/imports?page=2"])
def test_a_page_number_is_refused_where_pages_have_cursors(server: Server, tenant: Tenant, path: str) -> None:
    answer = server.get(path, tenant.key)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_payload")
    assert "`cursor`" in answer.json()["issues"][0]["message"]
    assert server.get("/files?offset=0", tenant.key).status_code == 200, "which has offsets"


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("/posts?limit=1&utm_source=x&_=1700000000", "utm_source, _"),
        ("/accounts?platform=tiktok", "platform"),
        ("/subscription?a%0d%0ax-evil:%201=2", "a%0D%0Ax-evil%3A%201"),
        ("/posts?limit=1", None),
    ],
)
def test_others_are_ignored_and_named(server: Server, tenant: Tenant, path: str, ignored: str | None) -> None:
    answer = server.get(path, tenant.key)
    assert answer.status_code in (200, 404)
    assert answer.headers.get("X-Ignored-Parameters") == ignored
    assert "x-evil" not in answer.headers


def test_what_has_an_effect_is_not_named(server: Server, tenant: Tenant) -> None:
    callback, letters = f"{BASE}/connect/tiktok/callback/?state=x&code=y", "/api/operator/v1/dead-letters?"
    for path, ignored in ((callback, None), (f"{letters}platform=tiktok&colour=red", "colour")):
        answer = server.http.get(server.url + path, headers=tenant.headers, timeout=30)
        assert answer.status_code in (200, 400)
        assert answer.headers.get("X-Ignored-Parameters") == ignored
    near = server.send("GET", f"{letters}plattform=tiktok", tenant.key)
    assert (near.status_code, near.json()["issues"][0]["path"]) == (422, "plattform")


def test_everything_near_is_listed_at_once() -> None:
    with pytest.raises(Refusal) as refused:
        refuse_near_misses(b"stauts=1&limits=2&nothing=3", KNOWN)
    assert [issue["path"] for issue in refused.value.issues] == ["stauts", "limits"]


def test_a_hostile_query_costs_little_and_names_little() -> None:
    query = b"&".join(b"n%d=%s" % (n, b"x" * 100) for n in range(600)) + b"&" + b"s" * 60_000
    refuse_near_misses(query, KNOWN)
    assert len(name_ignored(query, KNOWN)) < 20 * 3 * 66
