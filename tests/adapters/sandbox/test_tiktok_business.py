"""TikTok for Business and oEmbed on the sandbox."""

from html.parser import HTMLParser
from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Business
from tests.adapters.sandbox.process import Sandbox, wait_until

CHARTED = "7221171716369631233"


def test_a_video_goes_live_and_its_id_comes_later(business: Business) -> None:
    fault = business.sandbox.fault("tiktok_business", "finalize", "stuck-processing")
    share_id = business.video()["data"]["share_id"]
    assert share_id.startswith("v_pub_url~v1.")
    assert business.status(share_id) == {"status": "PROCESSING_DOWNLOAD"}
    business.sandbox.control_json("DELETE", f"faults/{fault}")
    assert business.wait_until_ended(share_id) == {"status": "PUBLISH_COMPLETE"}
    (post_id,) = wait_until(lambda: business.status(share_id).get("post_ids"))
    (entry,) = business.sandbox.ledger("tiktok_business")
    assert (entry["remote_id"], entry["handle"], entry["kind"]) == (post_id, share_id, "video")


def test_photos_go_live_and_private_ones_never_get_an_id(business: Business) -> None:
    shares = [
        business.photo("sample-1.jpg", "sample-2.jpg", privacy_level=level)["data"]["share_id"]
        for level in ("PUBLIC_TO_EVERYONE", "SELF_ONLY")
    ]
    assert shares[0].startswith("p_pub_url~v1.")
    for share_id in shares:
        assert business.wait_until_ended(share_id)["status"] == "PUBLISH_COMPLETE"
    assert wait_until(lambda: business.status(shares[0]).get("post_ids"))
    business.sandbox.control_json("POST", "clock", {"advance_s": 300})
    assert "post_ids" not in business.status(shares[1])
    assert [entry["kind"] for entry in business.sandbox.ledger()] == ["photos", "photos"]


def test_drafts_drop_what_they_ignore(business: Business) -> None:
    music = {"music_sound_id": "1"}  # refused unless the field is dropped
    video = business.video(upload_to_draft=True, music_sound_info=music)["data"]["share_id"]
    photos = business.photo(is_draft=True, title="t", music_sound_info=music)["data"]["share_id"]
    assert (
        business.wait_until_ended(video)["status"]
        == business.wait_until_ended(photos)["status"]
        == "SEND_TO_USER_INBOX"
    )
    entries = {entry["handle"]: entry for entry in business.sandbox.ledger()}
    assert {entry["kind"] for entry in entries.values()} == {"draft"}
    assert (entries[video]["caption"], entries[photos]["caption"]) == ("", "c")
    assert all("music_sound_info" not in entry["extra"] for entry in entries.values())


def test_a_track_is_taken_only_from_the_charts(business: Business) -> None:
    loud = {"music_sound_id": CHARTED, "music_sound_volume": 50, "video_original_sound_volume": 50}
    accepted = business.video(music_sound_info=loud)
    silent = business.video(music_sound_info={"music_sound_id": CHARTED})
    commercial_id = "7110000000000000001"
    refused = [
        business.video(music_sound_info={"music_sound_id": sound})["code"]
        for sound in (commercial_id, "66", None)
    ]
    photo = business.photo(music_sound_info={"music_sound_id": CHARTED, "music_sound_volume": 3})
    assert refused == [51065, 51065, 51065]
    ended = [
        business.wait_until_ended(answer["data"]["share_id"])["status"]
        for answer in (accepted, silent, photo)
    ]
    assert ended == ["PUBLISH_COMPLETE"] * 3
    entries = {entry["handle"]: entry["extra"] for entry in business.sandbox.ledger()}
    assert [entries[answer["data"]["share_id"]]["silent"] for answer in (accepted, silent)] == [False, True]
    kept = entries[photo["data"]["share_id"]]["music_sound_info"]
    assert kept == {"music_sound_id": CHARTED}


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"caption": "\N{GRINNING FACE}" * 1101}, 40002),
        ({"privacy_level": "SELF_ONLY"}, 40002),
        ({"music_sound_info": {"music_sound_id": CHARTED, "music_sound_volume": 101}}, 40002),
        ({"thumbnail_offset": -1}, 40002),
        ({}, 0),
    ],
)
def test_a_video_that_breaks_a_rule_is_refused_with_http_200(
    business: Business, info: dict[str, Any], expected: int
) -> None:
    assert business.video(**info)["code"] == expected


@pytest.mark.parametrize(
    ("name", "info", "reason"),
    [
        ("sample.mp4", {"thumbnail_offset": 6000}, "picture_size_check_failed"),
        ("sample.mp4?status=404", {}, "video_pull_failed"),
        ("sample-1.jpg", {}, "file_format_check_failed"),
    ],
)
def test_a_video_that_cannot_be_used_fails(
    business: Business, name: str, info: dict[str, Any], reason: str
) -> None:
    ended = business.wait_until_ended(business.video(name, **info)["data"]["share_id"])
    assert ended == {"status": "FAILED", "reason": reason}
    assert business.sandbox.ledger() == []


def test_a_png_photo_fails(business: Business) -> None:
    ended = business.wait_until_ended(business.photo("picture.png")["data"]["share_id"])
    assert ended["reason"] == "file_format_check_failed"


def test_a_setting_that_is_on_may_only_be_sent_as_on(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok_business", "shy", options={"comment_disabled": True})
    business = Business(sandbox=sandbox, account=account)
    assert business.get("business/video/settings/")["data"]["comment_disabled"] is True
    assert business.video(disable_comment=False)["code"] == 40002
    assert business.video(disable_comment=True)["code"] == 0


def test_a_url_must_lie_in_a_verified_property(business: Business) -> None:
    url = "https://cdn.example.com/media/v.mp4"
    refused = business.video(url)
    assert (refused["code"], "url_ownership_unverified" in refused["message"]) == (40002, True)


def test_tokens_and_ids_are_checked(business: Business) -> None:
    token = business.account.access_token
    path = "business/video/settings/"
    mine = {"business_id": business.account.remote_id}

    def code(token: str, **query: str) -> int:
        return int(business.call("GET", path, token=token, **query).json()["code"])

    assert code(f"Bearer {token}", **mine) == 40105
    assert code("", **mine) == 40104
    assert code(token, business_id="other") == 40001
    business.sandbox.control_json("POST", "clock", {"advance_s": 86_401})
    assert code(token, **mine) == 40102
    assert business.call("GET", path[:-1], **mine).status_code == 404


def test_the_minute_and_the_day_have_limits(business: Business) -> None:
    calls = [business.get("business/video/settings/")["code"] for _ in range(41)]
    assert calls == [0] * 40 + [40100]
    posts = [business.photo()["code"] for _ in range(7)]
    assert posts == [0] * 6 + [40100]
    for _ in range(2):
        business.sandbox.control_json("POST", "clock", {"advance_s": 61})
        posts += [business.photo()["code"] for _ in range(6)]
    assert posts.count(0) == 15
    last = business.photo()
    assert (last["code"], "spam_risk_too_many_posts" in last["message"]) == (40002, True)


def test_the_list_is_newest_first_in_pages(business: Business) -> None:
    business.sandbox.pace("instant", quotas=False)
    for number in range(3):
        business.photo(caption=f"post {number}")
        business.sandbox.control_json("POST", "clock", {"advance_s": 1})
    fields = '["item_id","create_time","caption","share_url","media_type"]'
    page = business.get("business/video/list/", fields=fields, max_count="2")["data"]
    assert ([row["caption"] for row in page["videos"]], page["has_more"]) == (["post 2", "post 1"], True)
    rest = business.get("business/video/list/", fields=fields, max_count="2", cursor=str(page["cursor"]))[
        "data"
    ]
    assert ([row["caption"] for row in rest["videos"]], rest["has_more"]) == (["post 0"], False)
    assert business.get("business/video/list/", fields='["caption"]')["code"] == 40002


def test_the_charts_differ_by_window_and_country(business: Business) -> None:
    def names(**query: str) -> list[str]:
        rows = business.get("discovery/cml/trending_list/", **query)["data"]["list"] or []
        return [row["commercial_music_name"] for row in rows]

    assert names() == ["Track", "Two Clips", "No Clip"]
    assert "Long Ago" in names(date_range="90DAY")
    assert "Nur Hier" in names(country_code="DE")
    assert names(genre="Folk") == []
    assert business.get("discovery/cml/trending_list/", date_range="1YEAR")["code"] == 40002


def test_refresh_rotates_and_token_info_tells_what_was_granted(business: Business) -> None:
    client = {"client_id": "i", "client_secret": "s", "grant_type": "refresh_token"}
    body = client | {"refresh_token": business.account.refresh_token}
    fresh = business.call("POST", "tt_user/oauth2/refresh_token/", body).json()["data"]
    assert fresh["refresh_token"] != business.account.refresh_token
    info = {"app_id": "a", "access_token": fresh["access_token"]}
    granted = business.call("POST", "tt_user/token_info/get/", info).json()["data"]
    assert (granted["creator_id"], "video.publish" in granted["scope"]) == (business.account.remote_id, True)
    known = business.call(
        "GET", "business/video/settings/", token=fresh["access_token"], business_id=fresh["open_id"]
    )
    assert known.json()["code"] == 0
    assert business.call("POST", "tt_user/oauth2/refresh_token/", body).json()["code"] == 40107


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.hrefs.append(dict(attrs)["href"] or "")


def oembed(sandbox: Sandbox, link: str) -> requests.Response:
    return requests.get(f"{sandbox.base}/tiktok-www/oembed", params={"url": link}, timeout=30)


def sound(answer: requests.Response) -> str | None:
    parser = _Anchors()
    parser.feed(answer.json()["html"])
    music = [href for href in parser.hrefs if "/music/" in href]
    return music[-1].partition("?")[0].rpartition("-")[2] if music else None


@pytest.mark.parametrize(
    ("link", "post_id", "expected"),
    [
        (
            "https://www.tiktok.com/@scout2015/video/6718335390845095173",
            "6718335390845095173",
            "6689804660171082501",
        ),
        ("https://www.tiktok.com/@a.b/video/6718335390845095177?x=1", "6718335390845095177", CHARTED),
        ("https://m.tiktok.com/v/6718335390845095177.html", "6718335390845095177", CHARTED),
        ("https://tiktok.com/@/photo/6718335390845095177", "6718335390845095177", CHARTED),
        ("https://vm.tiktok.com/ZMabc7/", None, CHARTED),
        ("https://www.tiktok.com/t/ZMabcd/", None, "6689804660171082501"),
    ],
)
def test_oembed_names_the_sound_of_a_post(
    sandbox: Sandbox, link: str, post_id: str | None, expected: str
) -> None:
    answer = oembed(sandbox, link)
    assert sound(answer) == expected
    assert post_id in (None, answer.json()["embed_product_id"])


@pytest.mark.parametrize(
    "link", ["", "https://evil.example/@a/video/6718335390845095173", "https://tiktok.com/@a"]
)
def test_oembed_knows_nothing_else(sandbox: Sandbox, link: str) -> None:
    assert oembed(sandbox, link).status_code == 400


def test_oembed_faults_take_the_sound_or_the_post_away(sandbox: Sandbox) -> None:
    link = "https://www.tiktok.com/@scout2015/video/6718335390845095173"
    sandbox.fault("tiktok", "resolve_music", "oembed-no-anchor")
    assert sound(oembed(sandbox, link)) is None
    sandbox.fault("tiktok_business", "resolve_music", "oembed-gone")
    assert oembed(sandbox, link).status_code == 400
    sandbox.fault("tiktok", "resolve_music", "429", retry_after=7)
    limited = oembed(sandbox, link)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert sound(oembed(sandbox, link)) is not None
