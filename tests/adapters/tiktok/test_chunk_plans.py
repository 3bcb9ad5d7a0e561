"""A chunk plan that TikTok refuses at init is answered by the next legal plan, and remembered for the app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Pending, Ready
from adapters.errors import Rejected
from adapters.http import HttpClient
from adapters.tiktok.adapter import TikTok
from adapters.tiktok.checkpoint import UploadPlan
from adapters.tiktok.creator import REFUSED_FORMS, choose_plan
from adapters.tiktok.errors import Refusals
from tests.adapters.files import content
from tests.adapters.scripted_server import ReceivedRequest, Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import account, build_settings, prepare_until_ready, video

Make = Callable[..., TikTok]
INFO = "/tiktok/v2/post/publish/creator_info/query/"
INIT = "/tiktok/v2/post/publish/video/init/"
PUT = "/video/"
BIG = 25_000_001
MB2 = 2**20
LONG = timedelta(seconds=300)
REFUSED = (
    '{"data":{},"error":{"code":"invalid_params","message":"The chunk size is invalid","log_id":"20260809"}}'
)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REFUSED_FORMS, "_until", {})


@pytest.fixture
def scripted(server: ScriptedServer) -> ScriptedServer:
    """Accepts uploads in one piece only."""
    accepted = (
        '{"data":{"publish_id":"v_pub_file~v2-1.1",'
        f'"upload_url":"{server.url}/video/?upload_id=1&upload_token=Xza123"}},{examples.OK}}}'
    )

    def init(request: ReceivedRequest) -> Reply:
        whole = request.json()["source_info"]["total_chunk_count"] == 1
        return Reply(accepted) if whole else Reply(REFUSED, status=400)

    server.on("POST", INFO, examples.CREATOR_INFO)
    server.on("POST", INIT, init)
    server.on("PUT", PUT, Reply(status=201))
    return server


def test_a_refused_plan_is_answered_by_one_chunk_and_remembered(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft, who = video(bytes=BIG), account()
    ready = prepare_until_ready(tiktok, draft, who)
    assert scripted.paths == [INFO, INIT, INIT]
    assert isinstance(tiktok().finalize(draft, who, ready.checkpoint), Pending)
    assert scripted.requests[-1].headers["Content-Range"] == f"bytes 0-{BIG - 1}/{BIG}"
    assert scripted.requests[-1].body == content(0, BIG)

    before = len(scripted.requests)
    prepare_until_ready(tiktok, video(bytes=BIG + 1), who)
    assert scripted.paths[before:] == [INFO, INIT], "the next video asks for one chunk at once"


def test_another_refusal_of_a_parameter_is_final(scripted: ScriptedServer, tiktok: Make) -> None:
    scripted.on("POST", INIT, Reply(examples.error("invalid_params"), status=400))
    with pytest.raises(Rejected):
        prepare_until_ready(tiktok, video(bytes=BIG), account())
    assert scripted.paths == [INFO, INIT]


def test_a_larger_file_tries_the_other_legal_plans(scripted: ScriptedServer, tiktok: Make) -> None:
    with pytest.raises(Rejected) as refusal:
        prepare_until_ready(tiktok, video(bytes=200_000_000), account())
    asked = [r.json()["source_info"]["chunk_size"] for r in scripted.requests if r.path == INIT]
    assert asked == [10_000_000, 20_000_000, 50_000_000]
    assert refusal.value.code == "chunks_too_large", (
        "60,000,000 would leave 80,000,000 bytes to the last call"
    )


def test_prepare_says_that_the_visible_call_sends_the_one_chunk(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft = video(bytes=BIG)
    ready = tiktok().prepare(draft, account(), prepare_until_ready(tiktok, draft, account()).checkpoint)
    assert isinstance(ready, Ready)
    assert ready.sends == (0, BIG)
    tiktok().finalize(draft, account(), ready.checkpoint)
    assert scripted.requests[-1].body == content(0, BIG)


def test_prepare_says_that_the_visible_call_sends_the_last_chunk(
    server: ScriptedServer, scripted: ScriptedServer, tiktok: Make
) -> None:
    accepted = (
        '{"data":{"publish_id":"v_pub_file~v2-1.1",'
        f'"upload_url":"{server.url}/video/?upload_id=1&upload_token=Xza123"}},{examples.OK}}}'
    )
    scripted.on("POST", INIT, accepted)
    scripted.on("PUT", PUT, Reply(status=206))
    draft = video(bytes=BIG)
    ready = tiktok().prepare(draft, account(), prepare_until_ready(tiktok, draft, account()).checkpoint)
    assert isinstance(ready, Ready)
    assert ready.sends == (12_500_000, BIG - 12_500_000)


def test_one_chunk_has_to_fit_the_time_of_a_visible_call(scripted: ScriptedServer) -> None:
    def make() -> TikTok:
        return TikTok(HttpClient(), replace(build_settings(scripted.url), visible_call=timedelta(seconds=12)))

    with pytest.raises(Rejected) as refusal:
        prepare_until_ready(make, video(bytes=BIG), account())
    assert refusal.value.code == "chunks_too_large"
    assert refusal.value.next_action is not None
    assert "SLIPWAY_WORKER__SHUTDOWN has to be at least 19" in refusal.value.next_action


@given(st.integers(min_value=1, max_value=4096 * MB2))
def test_every_plan_keeps_the_rules(size: int) -> None:
    plans = UploadPlan.list_legal(size)
    assert plans[0] == UploadPlan.for_size(size)
    assert len({plan.form for plan in plans}) == len(plans)
    for plan in plans:
        assert plan.is_legal
        assert plan.chunks == size // plan.chunk_size
    assert any(plan.chunks == 1 for plan in plans) is (size <= 64_000_000)


def test_memory_is_per_app_and_orders_only() -> None:
    refused = Refusals()
    refused.add("host", "app", "even")
    assert refused.contains("host", "app", "even")
    assert not refused.contains("host", "other", "even")
    REFUSED_FORMS.add("host", "app", "even")
    REFUSED_FORMS.add("host", "app", "one")
    assert choose_plan(BIG, LONG, "host", "app", ()).chunk_size == 10_000_000
    assert choose_plan(BIG, LONG, "host", "other", ()).form == "even"
    assert choose_plan(9_000_000, LONG, "host", "app", ()).form == "one", "nothing else is legal"
