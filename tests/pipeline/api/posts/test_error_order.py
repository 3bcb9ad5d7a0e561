"""Every row of the contract's error table over HTTP, each decided before the rows below it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from sqlalchemy import text

from adapters.contract import Platform
from pipeline.actions.delete_workspace import close
from pipeline.api.http.rate_limit import RateLimit
from pipeline.domain.account import KeyLimits, Plan, Subscription
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.store.auth.keys import revoke_key
from pipeline.store.database import row
from tests.actors import TESTER
from tests.pipeline.api.running_server import (
    BASE,
    Server,
    Tenant,
    code,
    post_refused_media,
    serving,
    until,
    video,
)

BIG = b"[" * 2_000_000
KNOWN_ID = str(uuid4())


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nodot",
        "Basic a.b",
        "Bearer slw_live_0000.unknown",
        "Bearer a.b c",
        "Bearer ü.ü",
        "Bearer " + "a." * 5000,
        "Bearer .",
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


def test_401_a_wrong_secret_behind_a_known_public_id(server: Server, tenant: Tenant) -> None:
    assert code(server.post({}, tenant.key + "x")) == (401, "invalid_token")


def test_401_a_big_body_without_a_key_is_answered_not_reset(server: Server) -> None:
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
        (Plan.CREATOR, Subscription.PAST_DUE, (402, "subscription_required")),
        (Plan.SCHEDULER, Subscription.CANCELED, (402, "subscription_required")),
        (Plan.SCHEDULER, Subscription.ACTIVE, (403, "tier_not_allowed")),
        (Plan.SCHEDULER, Subscription.TRIALING, (403, "tier_not_allowed")),
        (Plan.CREATOR, Subscription.TRIALING, (413, "payload_too_large")),
        (Plan.PROFESSIONAL, Subscription.ACTIVE, (413, "payload_too_large")),
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
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=latin-1", 415),
        ("application/jsonp", 415),
        ("nonsense", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
        ("application/json", 400),
        ("application/json; charset=utf-8", 400),
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
        (b"{", "not JSON"),
        (b'{"a":1,"a":2}', '"a" appears twice'),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":1}x', "follows"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
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


def test_400_unknown_accounts_before_missing_ones_and_the_rules(server: Server, tenant: Tenant) -> None:
    stranger = server.tenant().accounts["tiktok"]
    for identity in (str(uuid4()), stranger):
        body = video(tenant, accounts=[{"id": tenant.accounts["tiktok"]}, {"id": identity}], pinterest={})
        answer = server.post(body, tenant.key)
        assert code(answer) == (400, "unknown_accounts")
        assert identity in answer.json()["message"]
        assert tenant.accounts["tiktok"] not in answer.json()["message"]


def test_400_missing_accounts_before_the_rules(server: Server, tenant: Tenant) -> None:
    body = video(tenant, accounts=[], scheduled_at="2020-01-01T00:00:00Z")
    assert code(server.post(body, tenant.key)) == (400, "missing_accounts")


@pytest.mark.parametrize(
    "more",
    [
        {"scheduled_at": "2020-01-01T00:00:00Z", "music_url": "no link"},
        {"pinterest": {"title": "x"}, "music_url": "no link"},
    ],
)
def test_400_validation_failed_before_invalid_music(
    server: Server, tenant: Tenant, more: dict[str, Any]
) -> None:
    assert code(server.post(video(tenant, **more), tenant.key)) == (400, "validation_failed")


@pytest.mark.parametrize(
    "more", [{"tiktok": {}}, {"music_url": "https://www.tiktok.com/@a/video/1234567890"}]
)
def test_400_validation_failed_for_tiktok_things_with_another_account(
    server: Server, tenant: Tenant, more: dict[str, Any]
) -> None:
    assert code(server.post(video(tenant, "instagram", **more), tenant.key)) == (400, "validation_failed")


def test_400_invalid_music_url(server: Server, tenant: Tenant) -> None:
    body = video(tenant, music_url="https://example.com/@a/video/1234567890")
    assert code(server.post(body, tenant.key)) == (400, "invalid_music_url")


def test_400_media_unreachable_when_a_check_is_refused_in_time(server: Server) -> None:
    tenant = server.tenant()
    answer = post_refused_media(server, tenant)
    assert code(answer) == (400, "media_unreachable")
    assert "https://cdn.example.com/v.mp4" in answer.json()["message"]
    assert "404" in answer.json()["message"]
    assert server.get("/posts", tenant.key).json()["data"]["summary"]["total"] == 0


def test_201_with_a_warning_while_nobody_checks(server: Server) -> None:
    tenant = server.tenant()
    server.context.liveness._client.flushdb()  # the liveness mark that the test above set
    answer = server.post(video(tenant, scheduled_at="2099-02-01T15:00:00+02:00"), tenant.key)
    assert answer.status_code == 201
    assert answer.json()["message"] == "Post scheduled"
    data = answer.json()["data"]
    assert (data["status"], data["scheduled_at"]) == ("scheduled", "2099-02-01T13:00:00.000Z")
    assert "REACHABILITY_PENDING" in {w["code"] for w in data["warnings"]}


def test_500_create_failed_without_insides_and_with_a_line_in_the_log(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving(environment, tmp_path) as server:
        tenant = server.tenant()
        with server.context.database.begin() as c:
            c.execute(text("ALTER TABLE replays RENAME TO elsewhere"))
            c.execute(text("ALTER TABLE accounts RENAME TO elsewhere_too"))
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


def test_503_while_the_database_is_away(environment: dict[str, str], tmp_path: Path) -> None:
    away = {**environment, "SLIPWAY_STORE__URL": "postgresql+psycopg://nobody@/none?host=/nowhere"}
    with serving(away, tmp_path) as server:
        answer = server.post(b"{not json", "slw_live_0000.secret")
        assert code(answer) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "2"
        ready = server.send("GET", "/readyz")
        assert code(ready) == (503, "unavailable")
        up = {name for name, is_up in ready.json()["parts"].items() if is_up}
        assert up == {"broker", "disk"}
        assert "database" in ready.json()["message"]
        assert 'slipway_up{part="database"} 0.0' in server.send("GET", "/metrics").text


def test_429_before_400_and_its_headers(environment: dict[str, str], tmp_path: Path) -> None:
    limited = {"SLIPWAY_API__POSTS_PER_MINUTE": "2", "SLIPWAY_BROKER__REQUEST_TIMEOUT": "1"}
    with serving({**environment, **limited}, tmp_path) as server:
        tenant, neighbour = server.tenant(), server.tenant(platforms=(Platform.TIKTOK,))
        first = server.post(video(tenant), tenant.key)
        assert first.status_code == 201
        assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == ("2", "1")
        assert code(server.post(b"{not json", tenant.key)) == (400, "invalid_json")
        answer = server.post(b"{not json", tenant.key)
        assert code(answer) == (429, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
        assert answer.headers["RateLimit-Remaining"] == "0"
        assert code(server.post(b"x", tenant.key, **{"Content-Type": "text/plain"}))[0] == 415
        assert server.post(video(neighbour), neighbour.key).status_code == 201


def test_the_rate_limit_is_open_while_the_broker_is_away(server: Server) -> None:
    away = create_redis_client("redis+socket:///nowhere/redis.sock?virtual_host=0")
    meter, key = RateLimit(away, server.context.database), uuid4()
    assert [meter.take(key, KeyLimits(posts_per_minute=1)) for _ in range(3)] == [{}, {}, {}]
