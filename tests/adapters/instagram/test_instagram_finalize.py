"""``media_publish``: one changing request, and what each response to it proves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.contract import Pending
from adapters.errors import (
    RateLimited,
)
from adapters.http import HttpClient
from adapters.instagram.adapter import Instagram
from tests.adapters.instagram.drafts import (
    CONTAINER,
    IG,
    MEDIA_ID,
    PUBLISHED,
    account,
    photo_post,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

READY = {"quota_read": True, "container": CONTAINER}


def test_the_visible_call_is_one_request_and_hands_back_the_media_id(
    server: ScriptedServer, instagram: Instagram, client: HttpClient
) -> None:
    server.enqueue(PUBLISHED)
    result = instagram.finalize(photo_post(), account(), READY)
    assert result == Pending(checkpoint={**READY, "media_id": MEDIA_ID}, wait=timedelta(0))
    assert server.calls == [f"POST /graph/v25.0/{IG}/media_publish"]
    assert server.requests[0].json() == {"creation_id": CONTAINER}
    assert [visible for _, _, visible in client.calls] == [True]


def test_facebook_login_publishes_on_its_own_host(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(PUBLISHED)
    instagram.finalize(photo_post(), account("facebook_login"), READY)
    assert server.calls == [f"POST /facebook_graph/v25.0/{IG}/media_publish"]


def test_what_is_live_already_is_never_sent_again(server: ScriptedServer, instagram: Instagram) -> None:
    live = {**READY, "media_id": MEDIA_ID}
    assert instagram.finalize(photo_post(), account(), live) == Pending(checkpoint=live)
    assert server.requests == []


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, timedelta(minutes=5)),
        ({"Retry-After": "120"}, timedelta(seconds=120)),
        (
            {"X-Business-Use-Case-Usage": '{"1":[{"type":"x","estimated_time_to_regain_access":7}]}'},
            timedelta(minutes=7),
        ),
    ],
)
def test_a_throttle_waits_as_long_as_it_says(
    server: ScriptedServer, instagram: Instagram, headers: dict[str, str], wait: timedelta
) -> None:
    server.enqueue(Reply(status=403, body=build_error(4, transient=True), headers=headers))
    with pytest.raises(RateLimited) as caught:
        instagram.finalize(photo_post(), account(), READY)
    assert caught.value.retry_after == wait
