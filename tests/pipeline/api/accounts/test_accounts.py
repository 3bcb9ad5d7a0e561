"""GET /accounts and GET /accounts/{id}: health, the end of the grant, capabilities, pages, and limits of a scope."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest

from adapters.contract import Platform
from pipeline.api.accounts.routes import Account, AccountList
from pipeline.api.http.response_models import Success
from tests.pipeline.api.running_server import ABSENT, Server, Tenant, ask, code, video

ALL = tuple(Platform)


def read(server: Server, key: str, account: str) -> dict[str, Any]:
    answer = server.get(f"/accounts/{account}", key)
    assert answer.status_code == 200, answer.text
    Success[Account].model_validate_json(answer.content)
    data: dict[str, Any] = answer.json()["data"]
    return data


def listed(server: Server, key: str, query: str = "") -> dict[str, Any]:
    answer = server.get(f"/accounts{query}", key)
    assert answer.status_code == 200, answer.text
    Success[AccountList].model_validate_json(answer.content)
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_capabilities_say_what_each_platform_takes(server: Server) -> None:
    tenant = server.tenant(platforms=ALL)
    found = {
        one["platform"]: one["capabilities"]
        for one in listed(server, tenant.key, "?include=capabilities")["accounts"]
    }
    assert set(found) == set(map(str, Platform))
    for platform, can in found.items():
        adapter = server.context.adapters[Platform(platform)]
        kinds = {one["media"]: one["kind"] for one in can["kinds"]}
        assert kinds == {str(form): kind for form, kind in adapter.capabilities.post_kinds.items()}
        assert (can["options"] is None) == (adapter.post_options is None)
        assert read(server, tenant.key, tenant.accounts[platform])["capabilities"] == can
    schema = jsonschema_rs.validator_for(found["tiktok"]["options"])
    assert schema.is_valid({"title": "A mug"})
    assert not schema.is_valid({"titel": "A mug"})


def test_pages_follow_each_other(server: Server) -> None:
    tenant = server.tenant(platforms=ALL)
    plain = listed(server, tenant.key)
    assert "next_cursor" not in plain
    assert all("capabilities" not in one for one in plain["accounts"])
    whole = [one["id"] for one in plain["accounts"]]
    page = listed(server, tenant.key, "?limit=4")
    assert [one["id"] for one in page["accounts"]] == whole[:4]
    rest = listed(server, tenant.key, f"?cursor={page['next_cursor']}")
    assert [one["id"] for one in rest["accounts"]] == whole[4:]
    assert "next_cursor" not in rest
    assert "next_cursor" not in listed(server, tenant.key, "?limit=6")


@pytest.mark.parametrize("query", ["include=everything", "limit=101", "cursor=x"])
def test_a_query_that_cannot_be_meant_is_refused(server: Server, tenant: Tenant, query: str) -> None:
    answer = server.get(f"/accounts?{query}", tenant.key)
    assert code(answer) == (422, "invalid_payload")
    assert answer.json()["issues"][0]["path"] == query.partition("=")[0]


def test_the_next_posting_time_is_one_that_no_post_has_taken(server: Server) -> None:
    tenant = server.tenant()
    account = tenant.accounts["tiktok"]
    times = {"times": {"monday": ["10:00"]}, "time_zone": "Europe/Berlin"}
    assert ask(server, tenant.key, "PATCH", f"/accounts/{account}/posting-times", times).status_code == 200
    first = read(server, tenant.key, account)["capabilities"]["next_posting_time"]
    at = datetime.fromisoformat(first)
    assert at > datetime.now(UTC)
    assert at.weekday() == 0
    taken = video(tenant, accounts=[{"id": account}], scheduled_at=first)
    assert server.post(taken, tenant.key).status_code == 201
    second = datetime.fromisoformat(read(server, tenant.key, account)["capabilities"]["next_posting_time"])
    assert timedelta(days=6) < second - at < timedelta(days=8)


def test_an_account_out_of_sight_is_answered_as_one_that_is_not_there(server: Server) -> None:
    tenant, stranger = server.tenant(), server.tenant()
    bound = server.key(tenant, "tiktok")
    assert read(server, bound, tenant.accounts["tiktok"])["platform"] == "tiktok"
    for key, account in ((stranger.key, tenant.accounts["tiktok"]), (bound, tenant.accounts["instagram"])):
        refused = server.get(f"/accounts/{account}", key)
        assert code(refused) == (404, "not_found")
        assert refused.content == server.get(f"/accounts/{ABSENT}", key).content
    assert [one["platform"] for one in listed(server, bound, "?include=capabilities")["accounts"]] == [
        "tiktok"
    ]
    for text_ in ("x", "%00", "..%2f"):
        assert code(server.get(f"/accounts/{text_}", tenant.key)) == (404, "not_found")
