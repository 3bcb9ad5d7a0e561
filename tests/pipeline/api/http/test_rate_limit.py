"""The rate limit of a key, and that bulk keys do not slow others."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import requests
from redis import Redis
from sqlalchemy import text

from config.settings import load
from pipeline.api.http.bulkhead import ConcurrencyLimit
from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.http.rate_limit import RateLimit
from pipeline.api.http.request import BodyBudget
from pipeline.api.state import build_app_state
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.broker.queues import REACHABILITY, REACHABILITY_BULK
from pipeline.domain.account import KeyLimits
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.store.auth.keys import change_limits, find_caller
from pipeline.wiring import build_api_context
from tests.broker_outages import full
from tests.conftest import Engines
from tests.pipeline.api.running_server import ABSENT, BASE, Server, ask, serving, until, video

CHECK_WAIT = 100
"""Seconds, longer than any test waits."""


@pytest.fixture(scope="module")
def metered(
    session_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with three posts a minute, where a post waits for its checks longer than any client does."""
    environment = {
        **session_environment,
        "SLIPWAY_API__POSTS_PER_MINUTE": "3",
        "SLIPWAY_BROKER__REQUEST_TIMEOUT": "1",  # each post is counted, however busy the machine
        "SLIPWAY_REACHABILITY__WAIT": str(CHECK_WAIT),
        "SLIPWAY_API__SHUTDOWN": str(CHECK_WAIT + 2),
    }
    with serving(environment, tmp_path_factory.mktemp("metered")) as running:
        yield running


def remaining(answer: requests.Response) -> str | None:
    return answer.headers.get("RateLimit-Remaining")


def _fill_concurrency() -> None:
    limit = ConcurrencyLimit(4, per_owner=1)
    limit.acquire("key")
    limit.acquire("key")


def _fill_bodies() -> None:
    BodyBudget(400).take(uuid4(), 101)


# --- the bucket ------------------------------------------------------------------------------------------------------


def test_posts_edits_and_validations_take_from_one_bucket(metered: Server) -> None:
    tenant = metered.tenant()
    body = video(tenant, scheduled_at="2090-01-01T00:00:00Z")
    post = metered.post(body, tenant.key)
    edit = ask(metered, tenant.key, "PATCH", f"/posts/{post.json()['data']['id']}", {"caption": "new"})
    check = ask(metered, tenant.key, "POST", "/posts/validate", body)
    assert [a.status_code for a in (post, edit, check)] == [201, 200, 200]
    assert [remaining(a) for a in (post, edit, check)] == ["2", "1", "0"]
    for method, path in (("POST", "/posts"), ("PATCH", f"/posts/{ABSENT}"), ("POST", "/posts/validate")):
        refused = ask(metered, tenant.key, method, path, {})
        assert (refused.status_code, refused.json()["error_code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert (refused.headers["RateLimit-Limit"], remaining(refused)) == ("3", "0")
        assert int(refused.headers["RateLimit-Reset"]) <= int(refused.headers["Retry-After"])
    assert metered.post(b"{not json", tenant.key).status_code == 429, "before the body is read"
    assert (
        ask(metered, tenant.key, "POST", "/posts", b"x", **{"Content-Type": "text/plain"}).status_code == 415
    )
    ids = {"post_ids": [str(uuid4())]}
    for verb in ("cancel", "delete"):
        assert ask(metered, tenant.key, "POST", f"/posts/{verb}", ids).ok, "stopping is not counted"
    assert metered.get("/posts", tenant.key).ok, "and neither is reading"
    other = metered.key(tenant)
    assert remaining(ask(metered, other, "POST", "/posts/retry", ids)) == "2", "each key has its own"


def test_what_is_refused_after_it_was_counted_shows_the_limit_too(metered: Server) -> None:
    tenant = metered.tenant()
    post = ask(metered, tenant.key, "POST", "/posts", {})
    edit = ask(metered, tenant.key, "PATCH", f"/posts/{ABSENT}", {"caption": "new"})
    late = ask(metered, tenant.key, "POST", "/posts", video(tenant, scheduled_at="2020-01-01T00:00:00Z"))
    assert [a.status_code for a in (post, edit, late)] == [422, 404, 400]
    assert [remaining(a) for a in (post, edit, late)] == ["2", "1", "0"]
    for name in ("Limit", "Remaining", "Reset", "Policy"):
        assert f"RateLimit-{name}" in late.headers


@pytest.mark.parametrize("refuse", [_fill_concurrency, _fill_bodies])
def test_each_other_limit_shows_itself(refuse: Callable[[], object]) -> None:
    with pytest.raises(HttpRefusal) as refused:
        refuse()
    headers = refused.value.headers
    assert (refused.value.status, headers["RateLimit-Remaining"]) == (429, "0")
    assert headers["RateLimit-Reset"] == headers["Retry-After"]
    assert int(headers["RateLimit-Limit"]) > 0


def test_a_retry_takes_one_for_each_post(metered: Server) -> None:
    tenant = metered.tenant()
    ids = [str(uuid4()) for _ in range(20)]
    assert remaining(ask(metered, tenant.key, "POST", "/posts/retry", {"post_ids": ids[:2]})) == "1"
    refused = ask(metered, tenant.key, "POST", "/posts/retry", {"post_ids": ids[:2]})
    assert (refused.status_code, remaining(refused)) == (429, "1")
    assert remaining(ask(metered, tenant.key, "POST", "/posts/retry", {"post_ids": ids[:1]})) == "0"
    whole = metered.tenant()
    assert remaining(ask(metered, whole.key, "POST", "/posts/retry", {"post_ids": ids})) == "0", "never none"


def test_it_fails_open_and_asks_no_more_for_a_moment(
    metered: Server, engines: Engines, broker_url: str
) -> None:
    client, key = create_redis_client(broker_url), uuid4()
    limit, one = RateLimit(client, metered.context.database), KeyLimits(posts_per_minute=1)
    limit._buckets._breaker.pause = math.inf
    assert limit.take(key, one)
    with full(engines.valkey):
        assert limit.take(uuid4(), one) == {}
    assert limit.take(key, one) == {}, "the broker, if it were asked, would refuse"
    limit._buckets._breaker.record_success()
    with pytest.raises(HttpRefusal):
        limit.take(key, one)
    client.close()


def test_a_broker_that_hangs_is_asked_by_one_of_a_hundred_posts(metered: Server) -> None:
    """It accepts connections and answers nothing: each that is made is an attempt, and costs a time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        silent.settimeout(0)
        settings = load({"SLIPWAY_BROKER__URL": f"redis://127.0.0.1:{silent.getsockname()[1]}"}).broker
        client = create_redis_client(settings.url.get_secret_value(), timeout=settings.request_timeout)
        limit = RateLimit(client, metered.context.database)
        limit._buckets._breaker.pause = math.inf
        assert [limit.take(uuid4(), KeyLimits(posts_per_minute=1)) for _ in range(100)] == [{}] * 100
        assert _count_connections(silent) == 1
        liveness = QueueLiveness(client, math.inf)
        assert [liveness.is_alive(REACHABILITY) for _ in range(100)] == [False] * 100
        assert _count_connections(silent) == 1
        client.close()


def _count_connections(server: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_a_request_waits_20_ms_for_the_broker_and_then_five_seconds_long_not_at_all(
    module_environment: dict[str, str],
) -> None:
    async def check() -> None:
        state = build_app_state(build_api_context(load(module_environment)))
        meter, liveness = state.rate_limit, state.context.liveness
        for client in (meter._buckets._script.registered_client, liveness._client):
            assert isinstance(client, Redis)
            waits = client.connection_pool.connection_kwargs
            assert {seconds for name, seconds in waits.items() if name.endswith("timeout")} == {0.02}
        assert (meter._buckets._breaker.pause, liveness._breaker.pause) == (5.0, 5.0)
        await asyncio.to_thread(state.close)
        state.context.database.close()

    asyncio.run(check())


# --- a key's own limits ----------------------------------------------------------------------------------------------


def retry(server: Server, key: str, posts: int) -> requests.Response:
    return ask(server, key, "POST", "/posts/retry", {"post_ids": [str(uuid4()) for _ in range(posts)]})


def test_a_key_with_a_rate_of_its_own_does_not_follow_the_servers(metered: Server) -> None:
    tenant = metered.tenant()
    more, none = (
        metered.key(tenant, limits=KeyLimits(posts_per_minute=20)),
        metered.key(tenant, limits=KeyLimits(posts_per_minute=0)),
    )
    answer = retry(metered, more, 5)
    assert (answer.headers["RateLimit-Limit"], remaining(answer)) == ("20", "15")
    assert answer.headers["RateLimit-Policy"] == "20;w=60"
    for _ in range(2):
        answer = retry(metered, none, 20)
        assert answer.status_code == 200
        assert "RateLimit-Limit" not in answer.headers


def test_the_headers_are_of_the_limit_that_ends_first(metered: Server) -> None:
    minute_first = metered.key(metered.tenant(), limits=KeyLimits(posts_per_minute=6, posts_per_day=20))
    day_first = metered.key(metered.tenant(), limits=KeyLimits(posts_per_minute=100, posts_per_day=6))
    answers = retry(metered, minute_first, 5), retry(metered, day_first, 2)
    assert [(a.headers["RateLimit-Limit"], remaining(a)) for a in answers] == [("6", "1"), ("6", "4")]
    assert answers[0].headers["RateLimit-Policy"] == "6;w=60, 20;w=86400"


def test_a_day_that_is_full_refuses_until_it_ends_and_no_flush_of_the_broker_empties_it(
    metered: Server,
) -> None:
    tenant = metered.tenant()
    key = metered.key(tenant, limits=KeyLimits(posts_per_minute=0, posts_per_day=3))
    assert remaining(retry(metered, key, 2)) == "1"
    metered.context.liveness._client.flushall()
    refused = retry(metered, key, 2)
    assert (refused.status_code, refused.json()["error_code"], remaining(refused)) == (
        429,
        "rate_limited",
        "1",
    )
    assert "3 posts a day (UTC), and 1 are left" in refused.json()["message"]
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    assert abs(int(refused.headers["Retry-After"]) - (midnight - datetime.now(UTC)).total_seconds()) < 30
    assert refused.headers["RateLimit-Reset"] == refused.headers["Retry-After"]
    assert remaining(retry(metered, key, 1)) == "0"
    metered.sql("UPDATE keys SET counted_on = counted_on - 1 WHERE workspace_id = :w", w=tenant.workspace)
    assert remaining(retry(metered, key, 1)) == "2", "the next day"


def test_limits_changed_by_the_operator_apply_within_a_second(metered: Server) -> None:
    key = metered.key(metered.tenant(), limits=KeyLimits(posts_per_minute=100))
    assert retry(metered, key, 1).headers["RateLimit-Limit"] == "100"
    with metered.context.database.begin() as c:
        assert change_limits(c, key, {"posts_per_minute": None})
    until(lambda: retry(metered, key, 1).headers["RateLimit-Limit"] == "3", "the server's rate to apply")


# --- bulk keys -------------------------------------------------------------------------------------------------------


def test_mass_work_never_waits_for_a_check(metered: Server) -> None:
    """If it waited, the client would time out."""
    tenant = metered.tenant()
    metered.context.liveness.record_beat(REACHABILITY)  # a worker is reported alive, and none checks
    broker = metered.context.liveness._client
    before = int(str(broker.llen(REACHABILITY_BULK)))
    media = {"type": "video", "url": f"https://cdn.example.com/{os.urandom(8).hex()}.mp4"}
    answer = metered.post(video(tenant, media=media), metered.key(tenant, bulk=True))
    assert answer.status_code == 201
    assert "REACHABILITY_PENDING" in {w["code"] for w in answer.json()["data"]["warnings"]}
    until(lambda: int(str(broker.llen(REACHABILITY_BULK))) == before + 1, "the check to be dispatched")
    broker.delete(f"pulse:{REACHABILITY}")


def test_mass_work_has_a_line_of_its_own_and_others_pass_it(server: Server) -> None:
    """A bulk key sends seventeen posts that the database holds up: one gets 429, and posts of other keys pass."""
    tenant = server.tenant()
    key, external = server.key(tenant, bulk=True), os.urandom(8).hex()
    body = video(tenant, external_id=external)

    def send(_: int) -> requests.Response:
        return requests.post(
            f"{server.url}{BASE}/posts", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )

    with ThreadPoolExecutor(17) as clients, server.context.database.engine.connect() as holder:
        holder.execute(
            text("INSERT INTO replays (workspace_id, token, fingerprint, post_id) VALUES (:w, :t, '', :p)"),
            {"w": tenant.workspace, "t": f"id:{external}", "p": uuid4()},
        )
        sent = [clients.submit(send, n) for n in range(17)]
        done, held = wait(sent, timeout=60, return_when=FIRST_COMPLETED)
        assert [answer.result().status_code for answer in done] == [429]
        for n in range(20):
            media = {"type": "video", "url": f"https://cdn.example.com/{n}.mp4"}
            assert server.post(video(tenant, media=media), tenant.key).status_code == 201
        assert not any(answer.done() for answer in held)
        holder.rollback()
        codes = sorted(answer.result().status_code for answer in held)
    assert codes == [200] * 15 + [201]


# --- two servers -----------------------------------------------------------------------------------------------------


def test_one_key_has_one_bucket_in_all_processes(metered: Server) -> None:
    tenant, ids = metered.tenant(), {"post_ids": [str(uuid4()) for _ in range(2)]}
    with metered.context.database.begin() as c:
        caller = find_caller(c, tenant.key)
    assert caller is not None
    broker = metered.context.settings.broker
    with create_redis_client(broker.url.get_secret_value(), broker.sentinel_master) as client:
        limit = RateLimit(client, metered.context.database)
        headers = limit.take(caller.key_id, KeyLimits(posts_per_minute=3), 2)
        assert headers["RateLimit-Remaining"] == "1"
    assert ask(metered, tenant.key, "POST", "/posts/retry", ids).status_code == 429


def test_a_key_that_expires_is_refused_within_a_second_at_any_server(server: Server) -> None:
    tenant = server.tenant()
    assert server.get("/accounts", tenant.key).status_code == 200
    server.sql("UPDATE keys SET expires_at = now() WHERE workspace_id = :w", w=tenant.workspace)
    until(lambda: server.get("/accounts", tenant.key).status_code == 401, "the key to be refused")
