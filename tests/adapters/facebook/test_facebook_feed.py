"""Feed posts: unpublished photos, an unpublished post, then the call that shows it; and the direct form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Absent, CannotTell, Draft, Pending, PrepareResult, Published, Ready
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.facebook import Facebook
from adapters.http import HttpClient
from tests.adapters.facebook.drafts import (
    ARMED,
    NONE_TAKEN,
    PAGE,
    POST,
    POSTED,
    SUCCESS,
    TOKEN,
    account,
    build_settings,
    photo,
    photos,
    post_state,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.vendor_server import Told, VendorServer, closed_port

PREPARED = {"photos": ["1", "2"], "post": POST}
LINK = f"https://www.facebook.com/{POST}"
HIDDEN, SHOWN = post_state(published=False), post_state(published=True)


def run(facebook: Facebook, draft: Draft, start: Mapping[str, Any]) -> PrepareResult:
    said: PrepareResult = Pending(checkpoint=start)
    for _ in range(30):
        said = facebook.prepare(draft, account(), json.loads(json.dumps(dict(said.checkpoint))))
        if isinstance(said, Ready):
            break
    return said


# --- prepare ---------------------------------------------------------------------------------------------------------


def test_photos_become_an_unpublished_post(server: VendorServer, facebook: Facebook) -> None:
    server.tell(photo(1), photo(2), POSTED, HIDDEN)
    assert run(facebook, photos(), {}) == Ready(checkpoint=PREPARED)
    assert server.calls == [
        *[f"POST /graph/v25.0/{PAGE}/photos"] * 2,
        f"POST /graph/v25.0/{PAGE}/feed",
        f"GET /graph/v25.0/{POST}",
    ]
    assert server.asked[0].json == {"url": "https://cdn.example.com/1.png", "published": False}
    assert server.asked[2].json == {
        "message": "Some pictures",
        "attached_media": [{"media_fbid": "1"}, {"media_fbid": "2"}],
        "published": False,
    }
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}


def test_one_photo_takes_the_same_way(server: VendorServer, facebook: Facebook) -> None:
    server.tell(photo(1), POSTED, HIDDEN)
    assert run(facebook, photos(1), {}) == Ready(checkpoint={"photos": ["1"], "post": POST})


@pytest.mark.parametrize(
    ("checkpoint", "script"),
    [
        ({}, [photo(1), photo(2), POSTED, HIDDEN]),
        ({"photos": ["1"]}, [photo(2), POSTED, HIDDEN]),
        ({"photos": ["1", "2"]}, [POSTED, HIDDEN]),
        (PREPARED, [HIDDEN]),
    ],
)
def test_another_worker_goes_on_from_any_checkpoint(
    server: VendorServer, facebook: Facebook, checkpoint: dict[str, Any], script: list[str]
) -> None:
    server.tell(*script)
    assert run(facebook, photos(), checkpoint) == Ready(checkpoint=PREPARED)


def test_the_direct_form_prepares_the_photos_only(server: VendorServer, direct: Facebook) -> None:
    server.tell(photo(1), photo(2))
    assert run(direct, photos(), {}) == Ready(checkpoint={"photos": ["1", "2"]})


def test_a_fresh_post_that_cannot_be_read_yet_is_read_again(server: VendorServer, facebook: Facebook) -> None:
    server.tell(*[Told(status=400, body=build_error(100, 33))] * 6)
    said: PrepareResult = Pending(checkpoint=PREPARED)
    waits = []
    for _ in range(5):
        said = facebook.prepare(photos(), account(), said.checkpoint)
        assert isinstance(said, Pending)
        waits.append(said.wait.total_seconds())
    assert waits == [1, 2, 4, 8, 16]
    said = facebook.prepare(photos(), account(), said.checkpoint)
    assert said == Pending(checkpoint={"restarts": 1}, wait=timedelta(seconds=30))


def test_restarts_are_bounded(server: VendorServer, facebook: Facebook) -> None:
    server.tell(Told(status=400, body=build_error(100, 33)))
    with pytest.raises(Unavailable):
        facebook.prepare(photos(), account(), {**PREPARED, "polls": 5, "restarts": 3})


def test_a_post_found_visible_before_arming_is_never_made_anew(
    server: VendorServer, facebook: Facebook
) -> None:
    server.tell(SHOWN, SHOWN)
    said = facebook.prepare(photos(), account(), PREPARED)
    assert isinstance(said, Pending)
    assert said.wait > timedelta(0)
    looked = facebook.look(photos(), account(), said.checkpoint, None, NONE_TAKEN)
    assert looked == Published(remote_id=POST, url=LINK)


FULL = {"X-App-Usage": '{"call_count":96,"total_time":1,"total_cputime":1}'}


def test_a_nearly_spent_allowance_keeps_what_was_made_and_waits(
    server: VendorServer, facebook: Facebook
) -> None:
    server.tell(Told(body=photo(1), headers=FULL))
    said = facebook.prepare(photos(), account(), {})
    assert said == Pending(checkpoint={"photos": ["1"]}, wait=timedelta(minutes=5))


def test_a_nearly_spent_allowance_refuses_before_the_visible_call(
    server: VendorServer, facebook: Facebook
) -> None:
    usage = (
        '{"134":[{"type":"pages","call_count":99,"total_time":1,"total_cputime":1,'
        '"estimated_time_to_regain_access":19}]}'
    )
    server.tell(Told(body=HIDDEN, headers={"X-Business-Use-Case-Usage": usage}))
    with pytest.raises(RateLimited) as caught:
        facebook.prepare(photos(), account(), PREPARED)
    assert caught.value.retry_after == timedelta(minutes=19)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Told(drop=True), Unavailable),
        (Told(status=500, body=build_error(2)), Unavailable),
        (Told(body="<html>"), Unavailable),
        (Told(status=400, body=build_error(389)), Unavailable),
        (Told(status=400, body=build_error(1366046)), Rejected),
        (Told(status=400, body=build_error(100, 1366046)), Rejected),
        (Told(status=400, body=build_error(100)), Rejected),
        (Told(status=400, body=build_error(190)), CredentialsExpired),
        (Told(status=400, body=build_error(80001)), RateLimited),
        (Told(status=400, body=build_error(31337)), AdapterError),
    ],
)
def test_refusals_of_a_photo(
    server: VendorServer, facebook: Facebook, answer: Told, expected: type[AdapterError]
) -> None:
    server.tell(answer)
    with pytest.raises(expected) as caught:
        facebook.prepare(photos(), account(), {})
    assert type(caught.value) is expected
    assert TOKEN not in f"{caught.value!r}{vars(caught.value)}"


# --- finalize --------------------------------------------------------------------------------------------------------


def test_showing_the_post_is_one_request(
    server: VendorServer, facebook: Facebook, client: HttpClient
) -> None:
    server.tell(SUCCESS)
    said = facebook.finalize(photos(), account(), PREPARED)
    assert said == Pending(checkpoint={**PREPARED, "live": POST})
    assert server.calls == [f"POST /graph/v25.0/{POST}"]
    assert server.asked[0].json == {"is_published": True}
    assert [visible for _, _, visible in client.calls] == [True]


def test_the_direct_form_posts_in_one_request(server: VendorServer, direct: Facebook) -> None:
    server.tell(POSTED)
    said = direct.finalize(photos(), account(), {"photos": ["1", "2"]})
    assert said == Pending(checkpoint={"photos": ["1", "2"], "live": POST})
    assert server.calls == [f"POST /graph/v25.0/{PAGE}/feed"]
    assert server.asked[0].json == {
        "message": "Some pictures",
        "attached_media": [{"media_fbid": "1"}, {"media_fbid": "2"}],
    }


@pytest.mark.parametrize("live", [{"live": POST}, {"accepted": True, "video_id": "1"}])
def test_a_clear_yes_is_never_asked_for_twice(
    server: VendorServer, facebook: Facebook, live: dict[str, Any]
) -> None:
    assert facebook.finalize(photos(), account(), {**PREPARED, **live}).checkpoint == {  # type: ignore[union-attr]
        **PREPARED,
        **live,
    }
    assert server.asked == []


@pytest.mark.parametrize("checkpoint", [{}, {"photos": ["1"]}, {"photos": ["1", "2"]}])
def test_nothing_prepared_sends_nothing(
    server: VendorServer, facebook: Facebook, checkpoint: dict[str, Any]
) -> None:
    with pytest.raises(Unavailable):
        facebook.finalize(photos(), account(), checkpoint)
    assert server.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        Told(drop=True),
        Told(status=500, body=build_error(2, transient=True)),
        Told(status=400, body=build_error(1)),
        Told(status=400, body=build_error(2)),
        Told(status=400, body=build_error(6001)),
        Told(status=400, body=build_error(389)),
        Told(status=400, body=build_error(100, 33)),
        Told(status=400, body=build_error(100, 12345)),
        Told(status=400, body=build_error(31337)),
        Told(status=503, body=build_error(190)),
        Told(body='{"success":false}'),
        Told(body="{}"),
        Told(body=""),
    ],
)
def test_an_unclear_answer_leaves_the_outcome_unknown(
    server: VendorServer, facebook: Facebook, answer: Told
) -> None:
    server.tell(answer)
    with pytest.raises(OutcomeUnknown):
        facebook.finalize(photos(), account(), PREPARED)
    assert len(server.asked) == 1


@pytest.mark.parametrize("mode", ["facebook", "direct"])
@pytest.mark.parametrize("pair", [(506, None), (100, 1366051), (1366051, None)])
def test_a_duplicate_is_a_refusal_at_first_and_a_sign_of_life_after_an_unclear_try(
    request: pytest.FixtureRequest, server: VendorServer, mode: str, pair: tuple[int, int | None]
) -> None:
    adapter: Facebook = request.getfixturevalue(mode)
    at: dict[str, Any] = dict(PREPARED) if mode == "facebook" else {"photos": ["1", "2"]}
    server.tell(*[Told(status=400, body=build_error(*pair))] * 2)
    with pytest.raises(Rejected):
        adapter.finalize(photos(), account(), at)
    with pytest.raises(OutcomeUnknown):
        adapter.finalize(photos(), account(), {**at, "again": True})


def test_no_connection_sends_nothing(client: HttpClient) -> None:
    with closed_port() as base, pytest.raises(Unavailable):
        Facebook(client, build_settings(base)).finalize(photos(), account(), PREPARED)


# --- look ------------------------------------------------------------------------------------------------------------


def test_after_the_clear_yes_the_link_is_read(server: VendorServer, facebook: Facebook) -> None:
    server.tell(SHOWN)
    said = facebook.look(photos(), account(), {**PREPARED, "live": POST}, ARMED, NONE_TAKEN)
    assert said == Published(remote_id=POST, url=LINK)


@pytest.mark.parametrize(
    "answer", [Told(status=400, body=build_error(100, 33)), Told(status=500), Told(drop=True)]
)
def test_a_failed_read_never_unpublishes(server: VendorServer, facebook: Facebook, answer: Told) -> None:
    server.tell(answer)
    said = facebook.look(photos(), account(), {**PREPARED, "live": POST}, ARMED, NONE_TAKEN)
    assert isinstance(said, Published)
    assert (said.remote_id, said.url) == (POST, None)


def test_is_published_is_the_proof_both_ways(server: VendorServer, facebook: Facebook) -> None:
    server.tell(SHOWN, HIDDEN)
    said = facebook.look(photos(), account(), PREPARED, ARMED, NONE_TAKEN)
    assert said == Published(remote_id=POST, url=LINK)
    said = facebook.look(photos(), account(), PREPARED, ARMED, NONE_TAKEN)
    assert said == Absent(checkpoint={**PREPARED, "again": True})


@pytest.mark.parametrize(
    "answer", [Told(status=400, body=build_error(100, 33)), Told(body=f'{{"id":"{POST}"}}')]
)
def test_a_post_that_cannot_be_read_proves_nothing(
    server: VendorServer, facebook: Facebook, answer: Told
) -> None:
    server.tell(answer)
    assert isinstance(facebook.look(photos(), account(), PREPARED, ARMED, NONE_TAKEN), CannotTell)


def test_armed_without_a_post_cannot_be_told(server: VendorServer, facebook: Facebook) -> None:
    assert isinstance(facebook.look(photos(), account(), {}, ARMED, NONE_TAKEN), CannotTell)
    assert server.asked == []


@pytest.mark.parametrize("checkpoint", [{}, {"photos": ["1"]}, {"photos": ["1", "2"]}])
def test_unarmed_with_nothing_to_read_goes_back_to_prepare(
    server: VendorServer, facebook: Facebook, checkpoint: dict[str, Any]
) -> None:
    assert facebook.look(photos(), account(), checkpoint, None, NONE_TAKEN) == Ready(checkpoint=checkpoint)
    assert server.asked == []


def test_unarmed_and_readable_is_ready(server: VendorServer, facebook: Facebook) -> None:
    server.tell(HIDDEN)
    assert facebook.look(photos(), account(), PREPARED, None, NONE_TAKEN) == Ready(checkpoint=PREPARED)


def listed(post: str, message: str = "Some pictures", at: str = "2026-11-24T12:00:02+0000") -> str:
    link = f"https://www.facebook.com/{post}"
    return f'{{"id":"{post}","message":"{message}","created_time":"{at}","permalink_url":"{link}"}}'


DIRECT = {"photos": ["1", "2"]}
DIRECT_ABSENT = Absent(checkpoint={**DIRECT, "again": True})


@pytest.mark.parametrize(
    ("posts", "expected"),
    [
        ([listed("1_1")], Published(remote_id="1_1", url="https://www.facebook.com/1_1")),
        (
            [listed("1_2", "Other"), listed("1_1")],
            Published(remote_id="1_1", url="https://www.facebook.com/1_1"),
        ),
        ([listed("taken")], DIRECT_ABSENT),
        ([listed("1_1", at="2026-11-24T11:59:00+0000")], DIRECT_ABSENT),
        ([], DIRECT_ABSENT),
    ],
)
def test_a_direct_post_is_found_by_text_and_time(
    server: VendorServer, direct: Facebook, posts: list[str], expected: object
) -> None:
    server.tell(f'{{"data":[{",".join(posts)}]}}')
    assert direct.look(photos(), account(), DIRECT, ARMED, frozenset({"taken"})) == expected
    assert server.calls == [f"GET /graph/v25.0/{PAGE}/published_posts"]
    assert server.asked[0].query["since"] == str(int((ARMED - timedelta(seconds=5)).timestamp()))


def test_two_direct_posts_alike_cannot_be_told_apart(server: VendorServer, direct: Facebook) -> None:
    server.tell(f'{{"data":[{listed("1_1")},{listed("1_2")}]}}')
    assert isinstance(direct.look(photos(), account(), DIRECT, ARMED, NONE_TAKEN), CannotTell)


@pytest.mark.parametrize("armed_at", [None, ARMED])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Told(drop=True), Unavailable),
        (Told(status=500), Unavailable),
        (Told(status=400, body=build_error(4)), RateLimited),
        (Told(status=400, body=build_error(190)), CredentialsExpired),
    ],
)
def test_a_read_that_fails_is_raised_as_its_class(
    server: VendorServer,
    facebook: Facebook,
    armed_at: Any,
    answer: Told,
    expected: type[AdapterError],
) -> None:
    server.tell(answer)
    with pytest.raises(expected):
        facebook.look(photos(), account(), PREPARED, armed_at, NONE_TAKEN)


def test_a_changed_caption_is_not_ours(server: VendorServer, direct: Facebook) -> None:
    server.tell(f'{{"data":[{listed("1_1")}]}}')
    draft = replace(photos(), caption="Some other pictures")
    assert direct.look(draft, account(), DIRECT, ARMED, NONE_TAKEN) == DIRECT_ABSENT
