"""The contract's error table over HTTP, each row decided before those below it.

Every code is asked for by reference/error_requests.py; what a stored post is refused for, in its order, is in
stages/test_ingest.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from pipeline.actions.delete_workspace import close
from pipeline.domain.account import Plan, Subscription
from pipeline.store.auth.keys import revoke_key
from pipeline.store.database import row
from tests.actors import TESTER
from tests.pipeline.api.running_server import (
    BASE,
    Server,
    Tenant,
    code,
    serving,
    until,
    video,
)

BIG = b"[" * 2_000_000


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer nodot",
        "Basic a.b",
        "Bearer slw_live_0000.unknown",
        "Bearer ü.ü",
        "Bearer " + "a." * 5000,
        "bearer .x",
    ],
)
def test_401_whatever_is_wrong_with_the_key_and_whatever_the_body(
    server: Server, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    answer = requests.post(
        f"{server.url}{BASE}/posts",
        data=b"{not json",
        headers={**headers, "Content-Type": "text/plain"},
        timeout=60,
    )
    assert code(answer) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "issues" not in answer.json()


def test_401_a_big_body_without_a_key_is_answered_not_reset(server: Server, tenant: Tenant) -> None:
    assert code(server.post({}, tenant.key + "x")) == (401, "invalid_token"), "a wrong secret of a known id"
    assert code(server.post(BIG * 5, None)) == (401, "invalid_token")


def test_a_revoked_key_stops_within_a_second(server: Server) -> None:
    tenant = server.tenant()
    assert server.get("/accounts", tenant.key).status_code == 200
    with server.context.database.begin() as c:
        revoke_key(c, tenant.key)
    until(lambda: server.get("/accounts", tenant.key).status_code == 401, "the key to stop", 1.0)


def test_401_a_key_of_a_workspace_that_is_being_deleted_hears_why(server: Server) -> None:
    tenant = server.tenant()
    close(server.context, TESTER, tenant.workspace)
    refused = server.post({}, tenant.key)
    assert code(refused) == (401, "invalid_token")
    assert "workspace of the API key was deleted" in refused.text


def test_a_key_is_noted_as_used(server: Server) -> None:
    tenant = server.tenant()
    server.get("/accounts", tenant.key)

    def noted() -> bool:
        with server.context.database.begin() as c:
            used = row(c, "SELECT last_used_at FROM keys WHERE workspace_id = :w", w=tenant.workspace)
        return used is not None and used.last_used_at is not None

    until(noted, "the use of the key to be noted", 5)


@pytest.mark.parametrize(
    ("plan", "subscription", "expected"),
    [
        (Plan.NONE, Subscription.ACTIVE, (402, "subscription_required")),
        (Plan.BUSINESS, Subscription.CANCELED, (402, "subscription_required")),
        (Plan.SCHEDULER, Subscription.CANCELED, (402, "subscription_required")),
        (Plan.SCHEDULER, Subscription.ACTIVE, (403, "tier_not_allowed")),
        (Plan.CREATOR, Subscription.TRIALING, (413, "payload_too_large")),
    ],
)
def test_402_and_403_come_after_the_key_and_before_the_body(
    server: Server, plan: Plan, subscription: Subscription, expected: tuple[int, str]
) -> None:
    assert code(server.post(BIG, server.tenant(plan, subscription, platforms=()).key)) == expected


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // 65536):
        yield b" " * 65536


def test_413_before_415_declared_or_streamed(server: Server, tenant: Tenant) -> None:
    too_large = (413, "payload_too_large")
    assert code(server.post(BIG, tenant.key, **{"Content-Type": "text/plain"})) == too_large
    headers = {**tenant.headers, "Content-Type": "application/json"}
    streamed = requests.post(
        f"{server.url}{BASE}/posts", data=chunks(10_000_000), headers=headers, timeout=30
    )
    assert code(streamed) == too_large
    assert code(server.post(b" " * 10_000_000, tenant.key)) == too_large


def test_413_is_decided_at_the_byte(server: Server, tenant: Tenant) -> None:
    most = server.context.settings.api.max_body
    assert code(server.post(b" " * most, tenant.key)) == (400, "invalid_json")
    assert code(server.post(b" " * (most + 1), tenant.key)) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/plain", 415),
        ("application/json; charset=latin-1", 415),
        ("application/jsonp", 415),
        ("", 415),
        ("application/json", 400),
        ('Application/JSON;charset="UTF-8"', 400),
    ],
)
def test_415_before_400(server: Server, tenant: Tenant, kind: str, expected: int) -> None:
    answer = server.post(b"{not json", tenant.key, **{"Content-Type": kind})
    assert code(answer) == (expected, {415: "unsupported_media_type", 400: "invalid_json"}[expected])


def test_415_a_body_without_a_content_type_or_compressed(server: Server, tenant: Tenant) -> None:
    unsupported = (415, "unsupported_media_type")
    assert code(server.send("POST", f"{BASE}/posts", tenant.key, b"{}")) == unsupported
    assert code(server.post(b"{}", tenant.key, **{"Content-Encoding": "gzip"})) == unsupported


def test_no_body_at_all_is_400_and_a_get_with_a_json_content_type_is_fine(
    server: Server, tenant: Tenant
) -> None:
    assert code(server.send("POST", f"{BASE}/posts", tenant.key)) == (400, "invalid_json")
    assert code(server.post(b"", tenant.key)) == (400, "invalid_json")
    answer = server.send("GET", f"{BASE}/posts", tenant.key, None, **{"Content-Type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a":1,"a":2}', '"a" appears twice'),
        (b'{"a":"\xff"}', "UTF-8"),
        (b"[" * 40_000, "deeper"),
        (b'{"a":' + b"9" * 5000 + b"}", "5000 characters"),
        (b'{"a":1e400}', "too large"),
    ],
)
def test_400_invalid_json_before_422(server: Server, tenant: Tenant, body: bytes, said: str) -> None:
    answer = server.post(body, tenant.key)
    assert code(answer) == (400, "invalid_json")
    assert said in answer.json()["message"]


def test_422_before_unknown_accounts_and_the_clock(server: Server, tenant: Tenant) -> None:
    body = video(tenant, accounts=[{"id": str(uuid4())}], scheduled_at="2020-01-01T00:00:00Z", captoin="x")
    answer = server.post(body, tenant.key)
    assert code(answer) == (422, "invalid_payload")
    assert answer.json()["issues"] == [
        {
            "path": "captoin",
            "message": "There is no such field; did you mean `caption`?",
            "type": "extra_forbidden",
            "value": "x",
        }
    ]


def test_200_and_409_a_known_external_id_is_decided_before_accounts_and_times(
    server: Server, tenant: Tenant
) -> None:
    body = video(tenant, external_id=str(uuid4()))
    first = server.post(body, tenant.key)
    assert first.status_code == 201
    again = server.post(body, tenant.key)
    assert again.status_code == 200
    assert again.json()["data"]["duplicate"] is True
    assert again.json()["data"]["id"] == first.json()["data"]["id"]
    other = {**body, "accounts": [{"id": str(uuid4())}], "scheduled_at": "2020-01-01T00:00:00Z"}
    assert code(server.post(other, tenant.key)) == (409, "create_failed")


def test_the_idempotency_key_header_is_an_external_id(server: Server, tenant: Tenant) -> None:
    body, key = video(tenant), str(uuid4())
    first = server.post(body, tenant.key, **{"Idempotency-Key": key})
    again = server.post({**body, "external_id": key}, tenant.key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert server.get(f"/posts/{first.json()['data']['id']}", tenant.key).json()["data"]["external_id"] == key
    longer = server.post(body, tenant.key, **{"Idempotency-Key": "k" * 129})
    assert code(longer) == (422, "invalid_payload")
    assert longer.json()["issues"][0]["path"] == "Idempotency-Key"


def test_500_create_failed_without_insides_and_with_a_line_in_the_log(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving(environment, tmp_path) as server:
        tenant = server.tenant()
        server.sql("ALTER TABLE replays RENAME TO elsewhere")
        server.sql("ALTER TABLE accounts RENAME TO elsewhere_too")
        answer = server.post(video(tenant), tenant.key, **{"X-Request-Id": "my-own-id"})
        assert code(answer) == (500, "create_failed")
        assert answer.headers["X-Request-Id"] == "my-own-id"
        assert "replays" not in answer.text
        other = server.get("/accounts", tenant.key)
        assert code(other) == (500, "internal_error")
        assert "elsewhere" not in other.text
        log = server.read_log()
        assert "request my-own-id failed" in log
        assert tenant.key.partition(".")[2] not in log
