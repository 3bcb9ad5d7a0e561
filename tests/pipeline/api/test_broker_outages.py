"""A broker that hangs, is dead or is full: posts are answered without it, and dispatched when it is back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Platform
from pipeline.broker.queues import DELAY, PUBLISH, REACHABILITY
from pipeline.embedded.valkey import Valkey
from pipeline.maintenance.rescue_expired_leases import redispatch_checks
from pipeline.stages.delay import sweep
from pipeline.store.checks import checks
from tests.broker_outages import OUTAGES, Outage, count_messages, hung
from tests.pipeline.api.running_server import BASE, Server, Tenant, serving, until, video
from tests.pipeline.core_fixture import GOOD_VIDEO

FAILED = "dispatch failed"
"""What the log says when the broker did not take a message."""
POSTS = 20
"""Of each kind."""


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A broker of this test alone."""
    with tempfile.TemporaryDirectory(prefix="slipway-test-") as folder, Valkey(Path(folder)) as running:
        yield running


@pytest.fixture
def server(environment: dict[str, str], valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    """A server with a rate limit, which the broker counts too."""
    more = {"SLIPWAY_BROKER__URL": valkey.url, "SLIPWAY_API__POSTS_PER_MINUTE": "10000"}
    with serving({**environment, **more}, tmp_path) as running:
        yield running


def build_body(tenant: Tenant, url: str) -> dict[str, Any]:
    return video(tenant, media={"type": "video", "url": url})


def unknown_url() -> str:
    return f"https://cdn.example.com/{os.urandom(8).hex()}.mp4"


def good_url(server: Server, tenant: Tenant) -> str:
    url = unknown_url()
    with server.context.database.begin() as c:
        check = checks.open_check(c, tenant.workspace, "video", url)
        assert checks.decide_check(c, check.id, "good", facts=GOOD_VIDEO, seen="ok")
    return url


@pytest.mark.parametrize("outage", OUTAGES)
def test_posts_are_taken_without_the_broker_and_dispatched_when_it_is_back(
    server: Server, valkey: Valkey, outage: Outage
) -> None:
    tenant = server.tenant()
    known = good_url(server, tenant)
    bodies = [build_body(tenant, url) for n in range(POSTS) for url in (known, unknown_url())]
    with outage(valkey), ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda body: server.post(body, tenant.key), bodies))
        assert [answer.status_code for answer in answers] == [201] * len(bodies)
        assert server.send("GET", "/healthz").status_code == 200
        assert server.get("/posts", tenant.key).status_code == 200
        parts = server.send("GET", "/readyz").json()
    assert parts["ok"] is False or parts["data"]["parts"]["broker"] is (outage.__name__ == "full")
    with valkey.client() as client:
        client.flushdb()
    assert sweep(server.context) == POSTS, "the sweep finds what was not dispatched"
    assert count_messages(valkey, PUBLISH[Platform.TIKTOK]) > 0
    redispatch_checks(server.context)  # beside the thread, which may have sent some when the broker came back
    assert count_messages(valkey, REACHABILITY) >= POSTS, "their job finds the checks"

    def is_dispatched() -> bool:
        assert server.post(build_body(tenant, known), tenant.key).status_code == 201
        return count_messages(valkey, DELAY) > 0

    until(is_dispatched, "a new post to be dispatched")


def test_a_post_is_answered_before_the_broker_has_timed_out(server: Server, valkey: Valkey) -> None:
    tenant = server.tenant()
    known = good_url(server, tenant)
    answered = 0
    with hung(valkey):
        while FAILED not in server.log.read_text():
            assert server.post(build_body(tenant, known), tenant.key).status_code == 201
            answered += 1
        edit = {"scheduled_at": "2090-01-01T00:00:00Z"}
        post = server.post(build_body(tenant, unknown_url()) | edit, tenant.key).json()["data"]["id"]
        assert server.send("GET", f"{BASE}/posts/{post}", tenant.key).status_code == 200
    assert answered > 1, "the first answer waited for the broker"


def test_a_server_that_stops_dispatches_what_waits(
    environment: dict[str, str], valkey: Valkey, tmp_path: Path
) -> None:
    with serving({**environment, "SLIPWAY_BROKER__URL": valkey.url}, tmp_path) as server:
        tenant = server.tenant()
        for _ in range(POSTS):
            server.post(build_body(tenant, unknown_url()), tenant.key)
    assert count_messages(valkey, REACHABILITY) == POSTS
