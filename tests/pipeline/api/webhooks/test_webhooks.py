"""Webhooks over HTTP, with a real server, a worker's sender and a receiver that verifies as a customer would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook as Verifier

from pipeline.maintenance.read_moves import export_moves
from pipeline.webhooks.send_webhooks import send_webhooks
from tests.pipeline.api.http.test_key_restrictions import LATER, created
from tests.pipeline.api.running_server import ABSENT, Server, Tenant, ask, code, serving
from tests.pipeline.media.servers import Site, status
from tests.pipeline.media.servers import serving as receiving


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with receiving() as running:
        running.routes["/hook"] = status(200)
        yield running


@pytest.fixture(scope="module")
def server(
    module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory, site: Site
) -> Iterator[Server]:
    trial = {"SLIPWAY_SANDBOX__URL": site.origin, "SLIPWAY_WEBHOOKS__TRIAL_ORIGIN": site.origin}
    with serving({**module_environment, **trial}, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def subscribe(server: Server, site: Site, who: str, **more: Any) -> dict[str, Any]:
    answer = ask(server, who, "POST", "/webhooks", {"url": f"{site.origin}/hook", **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


def work(server: Server) -> None:
    """Export and send, as the workers do."""
    while export_moves(server.context):
        pass
    while send_webhooks(server.context):
        pass


def data_of(answer: requests.Response, expected: int = 200) -> Any:
    assert answer.status_code == expected, answer.text
    return answer.json()["data"]


def test_a_client_gets_what_became_of_its_post_and_verifies_it(
    server: Server, tenant: Tenant, site: Site
) -> None:
    made = subscribe(server, site, tenant.key, events=["post.scheduled", "post.canceled"], description="Ours")
    assert made["secret"].startswith("whsec_")
    post = created(server, tenant, "tiktok", external_id="order-7")
    assert ask(server, tenant.key, "POST", "/posts/cancel", {"post_ids": [post]}).ok
    site.posts.clear()
    work(server)
    got = [Verifier(made["secret"]).verify(body, headers) for _, headers, body in site.posts]
    assert [event["type"] for event in got] == ["post.scheduled", "post.canceled"]
    assert got[0]["data"] == {
        "workspace_id": str(tenant.workspace),
        "post_id": post,
        "external_id": "order-7",
        "scheduled_at": LATER.replace("Z", ".000Z"),
        "status": "scheduled",
        "accounts": [
            {
                "account_id": tenant.accounts["tiktok"],
                "platform": "tiktok",
                "status": "scheduled",
                "published_url": None,
                "error": None,
            }
        ],
    }
    page = data_of(server.get(f"/webhooks/{made['id']}/events", tenant.key))
    newest, first = page["events"]
    assert newest["payload"] == got[1]
    assert [(e["state"], e["attempts"][0]["outcome"]) for e in (newest, first)] == [
        ("delivered", "delivered")
    ] * 2
    assert [dict(h)["webhook-id"] for _, h, _ in site.posts] == [first["id"], newest["id"]]


def test_a_webhook_is_listed_changed_paused_rotated_and_deleted(
    server: Server, tenant: Tenant, site: Site
) -> None:
    made = subscribe(server, site, tenant.key)
    path, secret = f"/webhooks/{made['id']}", made.pop("secret")
    assert data_of(server.get(path, tenant.key)) == made
    assert data_of(server.get("/webhooks", tenant.key)) == {"webhooks": [made]}
    changed = data_of(ask(server, tenant.key, "PATCH", path, {"events": ["post.failed"], "paused": True}))
    assert (changed["events"], changed["paused"]["why"]) == (["post.failed"], "person")
    assert data_of(ask(server, tenant.key, "PATCH", path, {"events": None}))["events"] is None
    test = data_of(ask(server, tenant.key, "POST", f"{path}/test"), 202)
    site.posts.clear()
    work(server)
    assert site.posts == [], "it waits while the webhook is paused"
    assert data_of(ask(server, tenant.key, "PATCH", path, {"paused": False}))["paused"] is None
    rotated = data_of(ask(server, tenant.key, "POST", f"{path}/rotate"))
    assert rotated["secret"] != secret
    assert rotated["earlier_secret_until"]
    work(server)
    for one in (secret, rotated["secret"]):
        types = {Verifier(one).verify(body, headers)["type"] for _, headers, body in site.posts}
        assert types == {"webhook.paused", "webhook.test"}
    again = data_of(ask(server, tenant.key, "POST", f"{path}/replay", {"event_ids": [test["id"]]}), 202)
    assert again == {"replayed": 1, "next_cursor": None}
    work(server)
    assert [dict(h)["webhook-id"] for _, h, _ in site.posts].count(test["id"]) == 2
    span = {"since": "2026-01-01T00:00:00+02:00", "state": "delivered"}
    assert data_of(ask(server, tenant.key, "POST", f"{path}/replay", span), 202)["replayed"] == 2
    first = data_of(server.get(f"{path}/events?limit=1", tenant.key))
    rest = data_of(server.get(f"{path}/events?limit=1&cursor={first['next_cursor']}", tenant.key))
    assert [first["events"][0]["type"], rest["events"][0]["type"]] == ["webhook.test", "webhook.paused"]
    assert rest["next_cursor"] is None
    assert data_of(server.get(f"{path}/events?type=webhook.test&state=failed", tenant.key))["events"] == []
    assert data_of(ask(server, tenant.key, "DELETE", path)) == {"id": made["id"], "deleted": True}
    assert code(server.get(path, tenant.key)) == (404, "not_found")
    log = server.read_log()
    assert secret not in log
    assert rotated["secret"] not in log


@pytest.mark.parametrize(
    ("method", "path", "body", "where"),
    [
        ("POST", "/webhooks", {}, "url"),
        ("POST", "/webhooks", {"url": "https://10.0.0.1/"}, "url"),
        ("POST", "/webhooks", {"url": "https://a.example/", "events": ["post.exploded"]}, "events.0"),
        ("POST", "/webhooks", {"url": "https://a.example/", "event": ["post.posted"]}, "event"),
        ("PATCH", "/webhooks/{id}", {}, ""),
        ("PATCH", "/webhooks/{id}", {"url": "https://[::1]/"}, "url"),
        ("POST", "/webhooks/{id}/replay", {}, "since"),
        ("POST", "/webhooks/{id}/replay", {"event_ids": [ABSENT], "since": LATER}, "event_ids"),
        ("GET", "/webhooks/{id}/events?state=late", None, "state"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    server: Server, tenant: Tenant, site: Site, method: str, path: str, body: Any, where: str
) -> None:
    made = subscribe(server, site, tenant.key)
    made.pop("secret")
    answer = ask(server, tenant.key, method, path.replace("{id}", made["id"]), body)
    assert code(answer) == (422, "invalid_payload"), answer.text
    assert [issue["path"] for issue in answer.json()["issues"]] == [where]
    assert data_of(server.get("/webhooks", tenant.key)) == {"webhooks": [made]}


def test_a_bound_key_sees_its_own_and_strangers_see_nothing(
    server: Server, tenant: Tenant, site: Site
) -> None:
    whole = subscribe(server, site, tenant.key)
    bound = server.key(tenant, "tiktok")
    mine = subscribe(server, site, bound)
    assert mine["account_ids"] == [tenant.accounts["tiktok"]]
    assert [w["id"] for w in data_of(server.get("/webhooks", bound))["webhooks"]] == [mine["id"]]
    assert len(data_of(server.get("/webhooks", tenant.key))["webhooks"]) == 2
    post = created(server, tenant, "tiktok")
    created(server, tenant, "instagram")
    created(server, tenant, "tiktok", "instagram")
    work(server)
    seen = data_of(server.get(f"/webhooks/{mine['id']}/events", bound))["events"]
    assert [event["payload"]["data"]["post_id"] for event in seen] == [post]
    assert len(data_of(server.get(f"/webhooks/{whole['id']}/events", tenant.key))["events"]) == 3
    for who in (bound, server.tenant().key):
        for method, verb, body in (
            ("GET", "", None),
            ("GET", "/events", None),
            ("PATCH", "", {"paused": True}),
            ("POST", "/rotate", None),
            ("POST", "/test", None),
            ("POST", "/replay", {"since": LATER}),
            ("DELETE", "", None),
        ):
            answer = ask(server, who, method, f"/webhooks/{whole['id']}{verb}", body)
            absent = ask(server, who, method, f"/webhooks/{ABSENT}{verb}", body)
            assert code(answer) == (404, "not_found"), verb
            assert answer.text == absent.text
    assert data_of(server.get(f"/webhooks/{whole['id']}", tenant.key))["paused"] is None
