"""A creator's video: the upload in steps, the visible last chunk, and recovery from every interruption."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from adapters.contract import Pending, Ready
from adapters.errors import RateLimited, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.tiktok.adapter import TikTok
from tests.adapters.drafts import through_json
from tests.adapters.files import content
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import CAPTION, TOKEN, account, prepare_until_ready, video

Make = Callable[..., TikTok]
INFO = "/tiktok/v2/post/publish/creator_info/query/"
INIT = "/tiktok/v2/post/publish/video/init/"
STATUS = "/tiktok/v2/post/publish/status/fetch/"
PUT = "/video/"
BIG = 25_000_001  # two chunks of 12 500 000 and one byte more in the last


@pytest.fixture
def scripted(server: ScriptedServer) -> ScriptedServer:
    body = (
        '{"data":{"publish_id":"v_pub_file~v2-1.123456789",'
        f'"upload_url":"{server.url}/video/?upload_id=67890&upload_token=Xza123"}},{examples.OK}}}'
    )
    server.on("POST", INFO, examples.CREATOR_INFO)
    server.on("POST", INIT, body)
    server.on("PUT", PUT, Reply(status=206), Reply(status=201))
    return server


def test_small_video_takes_two_invisible_steps_and_one_visible_one(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    scripted.on("PUT", PUT, Reply(status=201))
    draft, who = video(options={"disable_comment": True, "is_your_brand": True}), account()

    first = tiktok().prepare(draft, who, {})
    assert isinstance(first, Pending)
    assert first.wait.total_seconds() == 0
    second = tiktok().prepare(draft, who, through_json(first.checkpoint))
    assert isinstance(second, Ready)
    assert scripted.paths == [INFO, INIT]

    client = HttpClient()
    done = tiktok(client).finalize(draft, who, through_json(second.checkpoint))

    assert isinstance(done, Pending)
    assert [visible for _, _, visible in client.calls] == [True]
    info, init, put = scripted.requests
    assert info.headers["Authorization"] == f"Bearer {TOKEN}"
    assert info.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert info.body == b""
    assert init.json() == {
        "post_info": {
            "title": CAPTION,
            "privacy_level": "PUBLIC_TO_EVERYONE",
            "disable_duet": False,
            "disable_comment": True,
            "disable_stitch": True,  # the creator has switched it off
            "is_aigc": False,
            "brand_content_toggle": False,
            "brand_organic_toggle": True,
        },
        "source_info": {
            "source": "FILE_UPLOAD",
            "video_size": 1000,
            "chunk_size": 1000,
            "total_chunk_count": 1,
        },
    }
    assert put.query == {"upload_id": "67890", "upload_token": "Xza123"}
    assert put.headers["Content-Range"] == "bytes 0-999/1000"
    assert put.headers["Content-Type"] == "video/mp4"
    assert put.headers["Content-Length"] == "1000"
    assert "Authorization" not in put.headers
    assert put.body == content(0, 1000)


def test_a_draft_of_a_video_asks_for_no_settings_and_carries_the_video_only(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    inbox = "/tiktok/v2/post/publish/inbox/video/init/"
    body = (
        '{"data":{"publish_id":"v_inbox_file~v2-1.1","upload_url":"' + scripted.url + '/video/?upload_id=1"},'
    )
    scripted.on("POST", inbox, body + examples.OK + "}")
    draft, who = video(options={"deliver_as": "inbox", "title": "T"}, bytes=BIG), account()

    ready = prepare_until_ready(tiktok, draft, who)
    assert isinstance(tiktok().finalize(draft, who, ready.checkpoint), Pending)

    assert scripted.paths == [inbox, PUT, PUT]
    assert scripted.requests[0].json() == {
        "source_info": {
            "source": "FILE_UPLOAD",
            "video_size": BIG,
            "chunk_size": 12_500_000,
            "total_chunk_count": 2,
        }
    }


def test_large_video_keeps_its_last_chunk_for_finalize(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = video(bytes=BIG), account()
    ready = prepare_until_ready(tiktok, draft, who)
    assert scripted.paths == [INFO, INIT, PUT]

    assert isinstance(tiktok().finalize(draft, who, ready.checkpoint), Pending)

    first, last = scripted.requests[2:]
    assert first.headers["Content-Range"] == f"bytes 0-12499999/{BIG}"
    assert last.headers["Content-Range"] == f"bytes 12500000-25000000/{BIG}"
    assert first.body + last.body == content(0, BIG)


def test_description_goes_before_the_caption(scripted: ScriptedServer, tiktok: Make) -> None:
    prepare_until_ready(tiktok, video(options={"description": "Other words"}), account())
    assert scripted.requests[1].json()["post_info"]["title"] == "Other words"


def test_settings_that_got_old_are_asked_for_again_before_ready(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft, who = video(bytes=BIG), account()
    kept = dict(prepare_until_ready(tiktok, draft, who).checkpoint)
    kept["allowed"] = {**kept["allowed"], "asked_at": time.time() - 601}

    again = tiktok().prepare(draft, who, kept)

    assert isinstance(again, Ready)
    assert scripted.paths == [INFO, INIT, PUT, INFO]


@pytest.mark.parametrize(
    ("options", "changes", "code"),
    [
        ({"privacy_level": "FOLLOWER_OF_CREATOR"}, {}, "privacy_not_allowed"),
        ({}, {"duration": 301.0}, "media_duration"),
    ],
)
def test_what_the_creator_may_not_do_is_refused_before_init(
    scripted: ScriptedServer, tiktok: Make, options: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Rejected) as refusal:
        tiktok().prepare(video(options=options, **changes), account(), {})
    assert refusal.value.code == code
    assert scripted.paths == [INFO]


def test_spam_risk_in_creator_info_comes_with_status_200(scripted: ScriptedServer, tiktok: Make) -> None:
    scripted.on("POST", INFO, examples.error("spam_risk_too_many_posts"))
    with pytest.raises(RateLimited) as refusal:
        tiktok().prepare(video(), account(), {})
    assert refusal.value.retry_after is not None
    assert refusal.value.retry_after.total_seconds() >= 3600


@pytest.mark.parametrize("status", [500, 503])
def test_a_chunk_that_failed_is_sent_again(scripted: ScriptedServer, tiktok: Make, status: int) -> None:
    draft, who = video(bytes=BIG), account()
    kept = _after_init(tiktok, draft)
    scripted.on("PUT", PUT, Reply(status=status), Reply(status=206))
    with pytest.raises(Unavailable):
        tiktok().prepare(draft, who, kept)
    assert isinstance(tiktok().prepare(draft, who, kept), Ready)
    assert scripted.requests[-1].headers["Content-Range"] == f"bytes 0-12499999/{BIG}"


def test_a_chunk_whose_answer_was_lost_is_reconciled_by_status(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft, who = video(bytes=BIG), account()
    kept = _after_init(tiktok, draft)
    scripted.on("PUT", PUT, DROP, Reply(status=416), Reply(status=201))
    scripted.on("POST", STATUS, examples.status("PROCESSING_UPLOAD", 12_500_000))
    with pytest.raises(Unavailable):
        tiktok().prepare(draft, who, kept)

    ready = prepare_until_ready(tiktok, draft, who, kept)
    assert isinstance(tiktok().finalize(draft, who, ready.checkpoint), Pending)

    assert scripted.paths == [INFO, INIT, PUT, PUT, STATUS, PUT]
    assert scripted.requests[4].json() == {"publish_id": "v_pub_file~v2-1.123456789"}
    assert scripted.requests[5].headers["Content-Range"] == f"bytes 12500000-25000000/{BIG}"


def test_an_upload_goes_on_from_the_byte_tiktok_has(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = video(bytes=BIG), account()
    kept = _after_init(tiktok, draft)
    scripted.on("PUT", PUT, Reply(status=416), Reply(status=206))
    scripted.on("POST", STATUS, examples.status("PROCESSING_UPLOAD", 7_000_000))
    prepare_until_ready(tiktok, draft, who, kept)
    assert scripted.requests[-1].headers["Content-Range"] == f"bytes 7000000-12499999/{BIG}"
    assert scripted.requests[-1].body == content(7_000_000, 5_500_000)


@pytest.mark.parametrize("status", [403, 404])
def test_a_lost_upload_address_means_a_new_init_while_unarmed(
    scripted: ScriptedServer, tiktok: Make, status: int
) -> None:
    draft, who = video(bytes=BIG), account()
    kept = _after_init(tiktok, draft)
    scripted.on("PUT", PUT, Reply(status=status), Reply(status=206))
    prepare_until_ready(tiktok, draft, who, kept)
    assert scripted.paths == [INFO, INIT, PUT, INIT, PUT]


@pytest.mark.parametrize("status", [403, 404])
def test_an_armed_upload_is_asked_about_before_it_is_given_up(
    scripted: ScriptedServer, tiktok: Make, status: int
) -> None:
    draft, who = video(bytes=BIG), account()
    kept = _after_init(tiktok, draft)
    kept["upload"]["was_armed"] = True
    scripted.on("PUT", PUT, Reply(status=status))
    scripted.on("POST", STATUS, examples.status("FAILED"))
    step = tiktok().prepare(draft, who, kept)
    step = tiktok().prepare(draft, who, through_json(step.checkpoint))
    assert "upload" not in step.checkpoint
    assert scripted.paths == [INFO, INIT, PUT, STATUS]


def test_an_upload_that_never_gets_on_ends(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = video(bytes=BIG), account()
    scripted.on("PUT", PUT, Reply(status=404))
    with pytest.raises(Unavailable) as stuck:
        prepare_until_ready(tiktok, draft, who)
    assert stuck.value.code == "upload_stuck"


@pytest.mark.parametrize(
    "reply", [Reply(status=400), Reply(status=401), Reply(status=429), Reply("<html>", status=403)]
)
def test_a_bare_refusal_of_a_chunk_is_unclear(scripted: ScriptedServer, tiktok: Make, reply: Reply) -> None:
    draft = video(bytes=BIG)
    kept = _after_init(tiktok, draft)
    scripted.on("PUT", PUT, reply)
    with pytest.raises(Unavailable):
        tiktok().prepare(draft, account(), kept)


@pytest.mark.parametrize("margin", [100, -200, -1000])
def test_a_dying_or_dead_upload_starts_anew_when_never_armed(
    scripted: ScriptedServer, tiktok: Make, margin: int
) -> None:
    draft, who = video(bytes=BIG), account()
    kept = through_json(prepare_until_ready(tiktok, draft, who).checkpoint)
    kept["upload"]["url_expires_at"] = time.time() + margin
    prepare_until_ready(tiktok, draft, who, kept)
    assert scripted.paths == [INFO, INIT, PUT, INIT, PUT]


def test_an_armed_upload_is_waited_for_until_it_is_surely_dead(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft, who = video(), account()
    kept = through_json(prepare_until_ready(tiktok, draft, who).checkpoint)
    kept["upload"] |= {"was_armed": True, "url_expires_at": time.time() - 1}
    waiting = tiktok().prepare(draft, who, kept)
    assert isinstance(waiting, Pending)
    assert 290 < waiting.wait.total_seconds() < 310
    assert scripted.paths == [INFO, INIT]


# --- finalize --------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_when_the_upload_is_not_ready_or_expired(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft, who = video(bytes=BIG), account()
    kept = _after_init(tiktok, draft)
    for checkpoint in ({}, kept):
        with pytest.raises(Unavailable) as refusal:
            tiktok().finalize(draft, who, checkpoint)
        assert refusal.value.code == "not_prepared"
    ready = through_json(prepare_until_ready(tiktok, draft, who).checkpoint)
    ready["upload"]["url_expires_at"] = time.time() + 30
    before = len(scripted.requests)
    with pytest.raises(Unavailable) as refusal:
        tiktok().finalize(draft, who, ready)
    assert refusal.value.code == "upload_expired"
    assert len(scripted.requests) == before


def test_more_expected_after_the_last_chunk_is_looked_at(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = video(), account()
    ready = prepare_until_ready(tiktok, draft, who)
    scripted.on("PUT", PUT, Reply(status=206))
    assert isinstance(tiktok().finalize(draft, who, ready.checkpoint), Pending)


def _after_init(tiktok: Make, draft: Any) -> dict[str, Any]:
    step = tiktok().prepare(draft, account(), {})
    step = tiktok().prepare(draft, account(), through_json(step.checkpoint))
    return through_json(step.checkpoint)
