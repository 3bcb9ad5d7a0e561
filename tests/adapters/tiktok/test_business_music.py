"""A chosen sound on a business account: charted, unproven or refused; a post is never published without its sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Account, Draft, Pending, Published, Ready
from adapters.errors import OutcomeUnknown, RateLimited, Rejected, Unavailable
from adapters.tiktok.adapter import TikTok
from tests.adapters.drafts import ARMED, through_json
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import account, photos, prepare_until_ready, track, video

Make = Callable[..., TikTok]
ROOT = "/tiktok-business/open_api/v1.3"
SETTINGS = f"{ROOT}/business/video/settings/"
CHART = f"{ROOT}/discovery/cml/trending_list/"
VIDEO = f"{ROOT}/business/video/publish/"
PHOTO = f"{ROOT}/business/photo/publish/"
STATUS = f"{ROOT}/business/publish/status/"
OEMBED = "/tiktok-www/oembed"
LINK = "https://www.tiktok.com/@scout2015/video/6718335390845095173"
CHARTED = "7221171716369631233"
FULL = examples.CHART.replace(
    '"full_duration_song_clip":{}', '"full_duration_song_clip":{"song_clip_id":"7000000000000000001"}'
)


def with_music(draft: Draft, sound_id: str = CHARTED) -> Draft:
    return replace(draft, music_url=LINK, track=track(sound_id))


@pytest.fixture
def scripted(server: ScriptedServer) -> ScriptedServer:
    server.on("GET", SETTINGS, examples.BUSINESS_SETTINGS)
    server.on("GET", CHART, examples.CHART)
    server.on("POST", VIDEO, examples.BUSINESS_VIDEO)
    server.on("POST", PHOTO, examples.BUSINESS_PHOTO)
    return server


def who(**settings: Any) -> Account:
    return account("business", **settings)


def test_a_charted_sound_goes_with_both_volumes(scripted: ScriptedServer, tiktok: Make) -> None:
    draft = with_music(video())
    first = tiktok().prepare(draft, who(country="GB"), {})
    assert isinstance(first, Pending)
    second = tiktok().prepare(draft, who(country="GB"), through_json(first.checkpoint))
    assert isinstance(second, Ready)
    tiktok().finalize(draft, who(country="GB"), through_json(second.checkpoint))

    assert scripted.paths == [SETTINGS, CHART, VIDEO]
    assert scripted.requests[1].query == {
        "business_id": "-000eHWs",
        "genre": "ALL",
        "country_code": "GB",
        "date_range": "7DAY",
    }
    assert scripted.requests[2].json()["post_info"]["music_sound_info"] == {
        "music_sound_id": CHARTED,
        "music_sound_volume": 50,
        "video_original_sound_volume": 50,
    }


def test_photos_take_the_id_only_and_no_music_of_tiktoks_choice(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    draft = with_music(photos(auto_add_music=True))
    tiktok().finalize(draft, who(), prepare_until_ready(tiktok, draft, who()).checkpoint)
    info = scripted.requests[-1].json()["post_info"]
    assert info["music_sound_info"] == {"music_sound_id": CHARTED}
    assert info["auto_add_music"] is False


def test_charts_are_read_one_a_step_and_remembered(scripted: ScriptedServer, tiktok: Make) -> None:
    scripted.on("GET", CHART, examples.EMPTY_CHART, examples.EMPTY_CHART, examples.CHART)
    draft = with_music(video())
    prepare_until_ready(tiktok, draft, who())
    assert [seen.query["date_range"] for seen in scripted.requests if seen.path == CHART] == [
        "7DAY",
        "30DAY",
        "90DAY",
    ]

    prepare_until_ready(tiktok, draft, who())  # another post soon after reads no chart

    assert scripted.paths[4:] == [SETTINGS]


def test_the_full_clip_of_a_charted_track_is_sent_as_its_trending_clip(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    scripted.on("GET", CHART, FULL)
    draft = with_music(video(), "7000000000000000001")
    assert prepare_until_ready(tiktok, draft, who()).checkpoint["music"] == {"id": CHARTED, "charted": True}


def test_the_charts_id_of_a_track_is_not_a_sound(scripted: ScriptedServer, tiktok: Make) -> None:
    with pytest.raises(Rejected):
        prepare_until_ready(tiktok, with_music(video(), "7…"), who())


def test_an_unproven_sound_is_refused_with_reasons(scripted: ScriptedServer, tiktok: Make) -> None:
    with pytest.raises(Rejected) as refusal:
        prepare_until_ready(tiktok, with_music(video(), "7000000000000000009"), who())
    assert refusal.value.code == "music_not_attachable"
    assert str(refusal.value) == (
        "The sound 'Track' is in none of TikTok's commercial charts for US; TikTok offers no look-up, "
        "so we did not send it."
    )
    assert refusal.value.next_action is not None
    assert (
        f"https://www.tiktok.com/music/x-{CHARTED}" in refusal.value.next_action
    )  # the same name: a suggestion, not a replacement
    assert scripted.paths == [SETTINGS, *[CHART] * 4]


def test_an_unproven_sound_may_be_tried_and_its_refusal_is_permanent(
    scripted: ScriptedServer, tiktok: Make
) -> None:
    scripted.on("POST", VIDEO, examples.business_error(51065, "Something is wrong"))
    draft = with_music(video(), "7000000000000000009")
    ready = prepare_until_ready(lambda: tiktok(unproven_music="try"), draft, who())
    assert ready.checkpoint["music"] == {"id": "7000000000000000009", "charted": False}

    with pytest.raises(Rejected) as refusal:
        tiktok(unproven_music="try").finalize(draft, who(), ready.checkpoint)
    assert refusal.value.code == "music_not_attachable"
    assert scripted.paths[-1] == VIDEO

    with pytest.raises(Rejected):  # the refusal is cached for a day
        prepare_until_ready(lambda: tiktok(unproven_music="try"), draft, who())


@pytest.mark.parametrize("draft", [video(), with_music(video())], ids=["without music", "charted"])
def test_the_other_face_of_51065_is_looked_at(scripted: ScriptedServer, tiktok: Make, draft: Draft) -> None:
    scripted.on("POST", VIDEO, examples.business_error(51065, "Something is wrong"))
    ready = prepare_until_ready(tiktok, draft, who())
    with pytest.raises(OutcomeUnknown):
        tiktok().finalize(draft, who(), ready.checkpoint)


def test_a_lost_answer_with_an_uncharted_sound_stays_unknown(scripted: ScriptedServer, tiktok: Make) -> None:
    scripted.on("POST", VIDEO, DROP)
    draft = with_music(video(), "7000000000000000009")
    ready = prepare_until_ready(lambda: tiktok(unproven_music="try"), draft, who())
    with pytest.raises(OutcomeUnknown):
        tiktok(unproven_music="try").finalize(draft, who(), ready.checkpoint)


def test_nothing_goes_out_while_the_sound_is_not_resolved(scripted: ScriptedServer, tiktok: Make) -> None:
    draft = replace(video(), music_url=LINK)
    first = tiktok().prepare(draft, who(), {})
    with pytest.raises(Unavailable) as waiting:
        tiktok().prepare(draft, who(), first.checkpoint)
    assert waiting.value.code == "music_unresolved"
    with pytest.raises(Unavailable):
        tiktok().finalize(draft, who(), first.checkpoint)
    assert scripted.paths == [SETTINGS]


def test_a_chart_that_cannot_be_read_decides_nothing(scripted: ScriptedServer, tiktok: Make) -> None:
    scripted.on("GET", CHART, examples.business_error(40100))
    with pytest.raises(RateLimited):
        prepare_until_ready(tiktok, with_music(video()), who())


def test_drafts_do_not_carry_the_sound(scripted: ScriptedServer, tiktok: Make) -> None:
    draft = with_music(photos(post_mode="MEDIA_UPLOAD"))
    tiktok().finalize(draft, who(), prepare_until_ready(tiktok, draft, who()).checkpoint)
    assert scripted.paths == [PHOTO]
    assert "music_sound_info" not in scripted.requests[0].json()["post_info"]


@pytest.mark.parametrize(
    ("reply", "confirmed"),
    [
        (Reply(examples.OEMBED.replace("6718335390845095173", "7212345678901234567")), False),
        (
            Reply(
                examples.OEMBED.replace("6718335390845095173", "7212345678901234567").replace(
                    "6689804660171082501", CHARTED
                )
            ),
            True,
        ),
        (Reply("", status=400), None),
        (DROP, None),
    ],
)
def test_the_sound_of_a_public_post_is_read_back_and_never_fails_it(
    server: ScriptedServer, tiktok: Make, reply: Reply, confirmed: bool | None
) -> None:
    server.on("GET", STATUS, examples.BUSINESS_STATUS)
    server.on("GET", OEMBED, reply)
    checkpoint = {"publish_id": "v_pub_url~v1.2", "music": {"id": CHARTED, "charted": True}}
    assert tiktok().look(with_music(video()), who(), checkpoint, ARMED, frozenset()) == Published(
        remote_id="7212345678901234567",
        url="https://www.tiktok.com/@casa/video/7212345678901234567",
        notes={"music_confirmed": confirmed},
    )
