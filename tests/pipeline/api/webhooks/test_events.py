"""GET /events: what a webhook would get, for a program that cannot be called."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from pipeline.maintenance.read_moves import export_moves
from tests.pipeline.api.http.test_key_restrictions import created
from tests.pipeline.api.running_server import Server, Tenant, ask


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def read(server: Server, who: str, after: str | None = None, limit: int = 50) -> dict[str, Any]:
    query = f"?limit={limit}" + (f"&after={after}" if after else "")
    answer = server.get(f"/events{query}", who)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def read_all(server: Server, who: str, after: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    found, more = [], True
    while more:
        page = read(server, who, after, limit)
        assert len(page["events"]) <= limit
        found += page["events"]
        after, more = page["next_cursor"], page["more"]
    return found


def test_every_event_comes_once_in_order_whatever_the_pages(server: Server, tenant: Tenant) -> None:
    first = read(server, tenant.key)
    assert first["events"] == []
    posts = [created(server, tenant, "tiktok", "instagram") for _ in range(3)]
    assert ask(server, tenant.key, "POST", "/posts/cancel", {"post_ids": posts[:2]}).ok
    whole = read_all(server, tenant.key, first["next_cursor"])
    told = [(event["type"], event["data"]["post_id"]) for event in whole]
    scheduled, canceled = ([(kind, post) for post in posts] for kind in ("post.scheduled", "post.canceled"))
    assert told == [*scheduled, *canceled[:2]]
    for limit in (2, 3, 5):
        assert read_all(server, tenant.key, first["next_cursor"], limit) == whole
    assert len({event["id"] for event in whole}) == len(whole)


def test_an_event_is_the_one_that_a_webhook_gets(server: Server, tenant: Tenant) -> None:
    made = ask(server, tenant.key, "POST", "/webhooks", {"url": "https://hooks.example.com/a"}).json()["data"]
    start = read(server, tenant.key)["next_cursor"]
    created(server, tenant, "tiktok")
    [event] = read_all(server, tenant.key, start)
    while export_moves(server.context):
        pass
    sent = server.get(f"/webhooks/{made['id']}/events", tenant.key).json()["data"]["events"]
    assert [(one["id"], one["payload"]) for one in sent] == [
        (event["id"], {name: event[name] for name in ("type", "timestamp", "data")})
    ]


def test_an_open_transaction_hides_what_comes_after_it_until_it_ends(server: Server, tenant: Tenant) -> None:
    start = read(server, tenant.key)["next_cursor"]
    with server.context.database.begin() as c:
        c.execute(text("LOCK TABLE moves IN ROW EXCLUSIVE MODE"))
        post = created(server, tenant, "tiktok")
        held = read(server, tenant.key, start)
        assert held["events"] == []
    assert [e["data"]["post_id"] for e in read_all(server, tenant.key, held["next_cursor"])] == [post]


def test_a_restricted_key_gets_the_events_of_posts_it_sees_whole(server: Server, tenant: Tenant) -> None:
    less = server.key(tenant, "tiktok")
    start, foreign = read(server, less)["next_cursor"], read(server, tenant.key)["next_cursor"]
    mine = created(server, tenant, "tiktok")
    created(server, tenant, "instagram")
    created(server, tenant, "tiktok", "instagram")
    assert [event["data"]["post_id"] for event in read_all(server, less, start)] == [mine]
    other = server.tenant()
    assert read_all(server, other.key) == []
    for who, cursor in ((less, foreign), (other.key, start), (less, start[:-4] + "AAAA"), (less, "x")):
        answer = server.get(f"/events?after={cursor}", who)
        assert (answer.status_code, answer.json()["issues"][0]["path"]) == (422, "after")
