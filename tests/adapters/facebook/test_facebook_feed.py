"""Feed posts: unpublished photos, an unpublished post, then the call that shows it; and the direct form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Absent, CannotTell, Pending, PrepareResult, Published, Ready
from adapters.errors import (
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from adapters.facebook.adapter import Facebook
from adapters.http import HttpClient
from tests.adapters.drafts import NONE_TAKEN, prepare_to_end
from tests.adapters.facebook.drafts import (
    ARMED,
    PAGE,
    POST,
    POSTED,
    SUCCESS,
    TOKEN,
    account,
    photo,
    photos,
    post_state,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

PREPARED = {"photos": ["1", "2"], "post": POST}
LINK = f"https://www.facebook.com/{POST}"
HIDDEN, SHOWN = post_state(published=False), post_state(published=True)


# --- prepare ---------------------------------------------------------------------------------------------------------


def test_photos_become_an_unpublished_post(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(photo(1), photo(2), POSTED, HIDDEN)
    assert prepare_to_end(lambda: facebook, photos(), account()) == PREPARED
    assert server.calls == [
        *[f"POST /graph/v25.0/{PAGE}/photos"] * 2,
        f"POST /graph/v25.0/{PAGE}/feed",
        f"GET /graph/v25.0/{POST}",
    ]
    assert server.requests[0].json() == {"url": "https://cdn.example.com/1.png", "published": False}
    assert server.requests[2].json() == {
        "message": "Some pictures",
        "attached_media": [{"media_fbid": "1"}, {"media_fbid": "2"}],
        "published": False,
    }
    assert {asked.headers["authorization"] for asked in server.requests} == {f"Bearer {TOKEN}"}


def test_a_fresh_post_that_cannot_be_read_yet_is_read_again(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(*[Reply(status=400, body=build_error(100, 33))] * 6)
    result: PrepareResult = Pending(checkpoint=PREPARED)
    waits = []
    for _ in range(5):
        result = facebook.prepare(photos(), account(), result.checkpoint)
        assert isinstance(result, Pending)
        waits.append(result.wait.total_seconds())
    assert waits == [1, 2, 4, 8, 16]
    result = facebook.prepare(photos(), account(), result.checkpoint)
    assert result == Pending(checkpoint={"restarts": 1}, wait=timedelta(seconds=30))


def test_a_post_found_visible_before_arming_is_never_made_anew(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(SHOWN, SHOWN)
    result = facebook.prepare(photos(), account(), PREPARED)
    assert isinstance(result, Pending)
    assert result.wait > timedelta(0)
    looked = facebook.look(photos(), account(), result.checkpoint, None, NONE_TAKEN)
    assert looked == Published(remote_id=POST, url=LINK)


FULL = {"X-App-Usage": '{"call_count":96,"total_time":1,"total_cputime":1}'}


def test_a_nearly_spent_allowance_keeps_what_was_made_and_waits(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(Reply(body=photo(1), headers=FULL))
    result = facebook.prepare(photos(), account(), {})
    assert result == Pending(checkpoint={"photos": ["1"]}, wait=timedelta(minutes=5))


def test_a_nearly_spent_allowance_refuses_before_the_visible_call(
    server: ScriptedServer, facebook: Facebook
) -> None:
    usage = (
        '{"134":[{"type":"pages","call_count":99,"total_time":1,"total_cputime":1,'
        '"estimated_time_to_regain_access":19}]}'
    )
    server.enqueue(Reply(body=HIDDEN, headers={"X-Business-Use-Case-Usage": usage}))
    with pytest.raises(RateLimited) as caught:
        facebook.prepare(photos(), account(), PREPARED)
    assert caught.value.retry_after == timedelta(minutes=19)


# --- finalize --------------------------------------------------------------------------------------------------------


def test_showing_the_post_is_one_request(
    server: ScriptedServer, facebook: Facebook, client: HttpClient
) -> None:
    server.enqueue(SUCCESS)
    result = facebook.finalize(photos(), account(), PREPARED)
    assert result == Pending(checkpoint={**PREPARED, "live": POST})
    assert server.calls == [f"POST /graph/v25.0/{POST}"]
    assert server.requests[0].json() == {"is_published": True}
    assert [visible for _, _, visible in client.calls] == [True]


def test_the_direct_form_posts_in_one_request(server: ScriptedServer, direct: Facebook) -> None:
    server.enqueue(POSTED)
    result = direct.finalize(photos(), account(), {"photos": ["1", "2"]})
    assert result == Pending(checkpoint={"photos": ["1", "2"], "live": POST})
    assert server.calls == [f"POST /graph/v25.0/{PAGE}/feed"]
    assert server.requests[0].json() == {
        "message": "Some pictures",
        "attached_media": [{"media_fbid": "1"}, {"media_fbid": "2"}],
    }


@pytest.mark.parametrize("live", [{"live": POST}, {"accepted": True, "video_id": "1"}])
def test_a_clear_yes_is_never_asked_for_twice(
    server: ScriptedServer, facebook: Facebook, live: dict[str, Any]
) -> None:
    assert facebook.finalize(photos(), account(), {**PREPARED, **live}).checkpoint == {  # type: ignore[union-attr]
        **PREPARED,
        **live,
    }
    assert server.requests == []


@pytest.mark.parametrize("mode", ["facebook", "direct"])
@pytest.mark.parametrize("pair", [(506, None), (100, 1366051), (1366051, None)])
def test_a_duplicate_is_a_refusal_at_first_and_a_sign_of_life_after_an_unclear_try(
    request: pytest.FixtureRequest, server: ScriptedServer, mode: str, pair: tuple[int, int | None]
) -> None:
    adapter: Facebook = request.getfixturevalue(mode)
    state: dict[str, Any] = dict(PREPARED) if mode == "facebook" else {"photos": ["1", "2"]}
    server.enqueue(*[Reply(status=400, body=build_error(*pair))] * 2)
    with pytest.raises(Rejected):
        adapter.finalize(photos(), account(), state)
    with pytest.raises(OutcomeUnknown):
        adapter.finalize(photos(), account(), {**state, "again": True})


# --- look ------------------------------------------------------------------------------------------------------------


def test_is_published_is_the_proof_both_ways(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(SHOWN, HIDDEN)
    result = facebook.look(photos(), account(), PREPARED, ARMED, NONE_TAKEN)
    assert result == Published(remote_id=POST, url=LINK)
    result = facebook.look(photos(), account(), PREPARED, ARMED, NONE_TAKEN)
    assert result == Absent(checkpoint={**PREPARED, "again": True})


def test_unarmed_and_readable_is_ready(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(HIDDEN)
    assert facebook.look(photos(), account(), PREPARED, None, NONE_TAKEN) == Ready(checkpoint=PREPARED)


def listed(post: str, message: str = "Some pictures", created_at: str = "2026-11-24T12:00:02+0000") -> str:
    link = f"https://www.facebook.com/{post}"
    return f'{{"id":"{post}","message":"{message}","created_time":"{created_at}","permalink_url":"{link}"}}'


DIRECT = {"photos": ["1", "2"]}
DIRECT_FOUND = Published(remote_id="1_1", url="https://www.facebook.com/1_1", is_searched=True)
DIRECT_ABSENT = Absent(checkpoint={**DIRECT, "again": True})


@pytest.mark.parametrize(
    ("posts", "expected"),
    [
        ([listed("1_1")], DIRECT_FOUND),
        ([listed("1_2", "Other"), listed("1_1")], DIRECT_FOUND),
        ([listed("taken")], DIRECT_ABSENT),
        ([listed("1_1", created_at="2026-11-24T11:59:00+0000")], DIRECT_ABSENT),
        ([], DIRECT_ABSENT),
    ],
)
def test_a_direct_post_is_found_by_text_and_time(
    server: ScriptedServer, direct: Facebook, posts: list[str], expected: object
) -> None:
    server.enqueue(f'{{"data":[{",".join(posts)}]}}')
    assert direct.look(photos(), account(), DIRECT, ARMED, frozenset({"taken"})) == expected
    assert server.calls == [f"GET /graph/v25.0/{PAGE}/published_posts"]
    assert server.requests[0].query["since"] == str(int((ARMED - timedelta(seconds=5)).timestamp()))


def test_two_direct_posts_alike_cannot_be_told_apart(server: ScriptedServer, direct: Facebook) -> None:
    server.enqueue(f'{{"data":[{listed("1_1")},{listed("1_2")}]}}')
    assert isinstance(direct.look(photos(), account(), DIRECT, ARMED, NONE_TAKEN), CannotTell)
