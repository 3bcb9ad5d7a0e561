"""TikTok's Content Posting API on the sandbox."""

from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import TikTok
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM
from tests.adapters.sandbox.process import Sandbox, wait_until

MB = 1_000_000


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def put(url: str, data: bytes, first: int, total: int, **headers: str) -> requests.Response:
    span = f"bytes {first}-{first + len(data) - 1}/{total}"
    sent = {"Content-Type": "video/mp4", "Content-Range": span, **headers}
    return requests.put(url, data=data, headers=sent, timeout=30)


def test_an_upload_in_two_chunks_goes_live_once_and_shows_its_id_later(tiktok: TikTok, large: bytes) -> None:
    made = tiktok.upload_init(len(large), 6 * MB, 2)
    assert made["publish_id"].startswith("v_pub_file~v2-1.")
    first = put(made["upload_url"], large[: 6 * MB], 0, len(large))
    assert (first.status_code, first.headers["Content-Range"]) == (206, f"bytes 0-{6 * MB}/{len(large)}")
    assert tiktok.status(made["publish_id"])["uploaded_bytes"] == 6 * MB
    assert tiktok.sandbox.ledger() == []
    assert put(made["upload_url"], large[6 * MB :], 6 * MB, len(large)).status_code == 201
    complete = tiktok.wait_until_ended(made["publish_id"])
    assert (complete["status"], complete["publicaly_available_post_id"]) == ("PUBLISH_COMPLETE", [])
    (post_id,) = wait_until(lambda: tiktok.status(made["publish_id"])["publicaly_available_post_id"])
    (entry,) = tiktok.sandbox.ledger()
    assert (entry["handle"], entry["remote_id"], entry["kind"]) == (made["publish_id"], str(post_id), "video")
    assert entry["media"][0]["bytes"] == len(large)


def test_chunks_out_of_order_of_wrong_length_or_type_are_refused(tiktok: TikTok, large: bytes) -> None:
    url, total = tiktok.upload_init(len(large), 6 * MB, 2)["upload_url"], len(large)
    ahead = put(url, large[6 * MB :], 6 * MB, total)
    assert (ahead.status_code, ahead.headers["Content-Range"]) == (416, f"bytes 0-0/{total}")
    assert put(url, large[: 5 * MB], 0, total).status_code == 400
    assert put(url, large[: 6 * MB], 0, total + 1).status_code == 400
    assert put(url, large[: 6 * MB], 0, total, **{"Content-Type": "image/png"}).status_code == 400
    assert put(url, large[: 6 * MB], 0, total, **{"Content-Range": "0-5"}).status_code == 400
    assert put(url.replace("upload_id=", "upload_id=9"), large[: 6 * MB], 0, total).status_code == 404
    assert put(url + "x", large[: 6 * MB], 0, total).status_code == 403
    assert put(url, large[: 6 * MB], 0, total).status_code == 206
    assert put(url, large[: 6 * MB], 0, total).status_code == 416


def test_an_upload_url_dies_after_an_hour(tiktok: TikTok, video_bytes: bytes) -> None:
    url = tiktok.upload_init(len(video_bytes), len(video_bytes), 1)["upload_url"]
    tiktok.sandbox.control_json("POST", "clock", {"advance_s": 3601})
    assert put(url, video_bytes, 0, len(video_bytes)).status_code == 403


@pytest.mark.parametrize(
    ("size", "chunk", "count"),
    [
        (4 * MB, 2 * MB, 2),  # below 5 MB: one chunk
        (12 * MB, 6 * MB, 3),  # not rounded down
        (12 * MB, 5 * MB, 2),  # 5 MB in one reading only
        (100 * MB, 65 * MB, 1),  # chunk above 64 MB
        (70 * MB, 60 * MB, 1),  # above 64 MB: more than one chunk
        (65 * MB, 65 * MB, 1),
        (5 << 30, 60 * MB, 89),  # above 4 GB
        (12 * MB, 0, 1),
    ],
)
def test_chunk_sizes_that_break_a_rule_are_refused(tiktok: TikTok, size: int, chunk: int, count: int) -> None:
    source = {"source": "FILE_UPLOAD", "video_size": size, "chunk_size": chunk, "total_chunk_count": count}
    answer = tiktok.post("post/publish/video/init/", tiktok.video_body(source))
    assert code(answer) == (400, "invalid_params")


@pytest.mark.parametrize(
    ("size", "chunk", "count"),
    [(50_000_123, 10 * MB, 5), (30_567_100, 30_567_100, 1), (4_194_304, 4_194_304, 1)],
)
def test_the_vendors_own_chunk_examples_are_accepted(
    tiktok: TikTok, size: int, chunk: int, count: int
) -> None:
    assert tiktok.upload_init(size, chunk, count)["upload_url"]


def test_a_pull_goes_live_and_a_pull_that_fails_does_not(tiktok: TikTok) -> None:
    good = {"source": "PULL_FROM_URL", "video_url": tiktok.sandbox.media("sample.mp4")}
    bad = {"source": "PULL_FROM_URL", "video_url": tiktok.sandbox.media("sample.mp4?status=503")}
    moved = {
        "source": "PULL_FROM_URL",
        "video_url": tiktok.sandbox.media("sample.mp4?redirect=/media/sample.mp4"),
    }
    foreign = {"source": "PULL_FROM_URL", "video_url": "https://elsewhere.example/v.mp4"}
    path = "post/publish/video/init/"
    ids = [
        tiktok.post(path, tiktok.video_body(source)).json()["data"]["publish_id"]
        for source in (good, bad, moved)
    ]
    ends = [tiktok.wait_until_ended(publish_id) for publish_id in ids]
    assert ids[0].startswith("v_pub_url~v2-1.")
    assert [(end["status"], end["fail_reason"]) for end in ends] == [
        ("PUBLISH_COMPLETE", ""),
        ("FAILED", "video_pull_failed"),
        ("FAILED", "video_pull_failed"),
    ]
    assert code(tiktok.post(path, tiktok.video_body(foreign))) == (403, "url_ownership_unverified")
    assert [entry["handle"] for entry in tiktok.sandbox.ledger()] == ids[:1]


def test_a_video_longer_than_the_creator_may_post_fails(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok", "brief", options={"max_video_post_duration_sec": 3})
    tiktok = TikTok(sandbox=sandbox, account=account)
    body = tiktok.video_body({"source": "PULL_FROM_URL", "video_url": sandbox.media("sample.mp4")})
    publish_id = tiktok.post("post/publish/video/init/", body).json()["data"]["publish_id"]
    assert tiktok.wait_until_ended(publish_id)["fail_reason"] == "duration_check_failed"


def test_a_video_to_the_inbox_ends_there_and_the_sixth_waits(tiktok: TikTok) -> None:
    body = {"source_info": {"source": "PULL_FROM_URL", "video_url": tiktok.sandbox.media("sample.mp4")}}
    answers = [tiktok.post("post/publish/inbox/video/init/", body) for _ in range(6)]
    assert [code(answer) for answer in answers] == [(200, "ok")] * 5 + [
        (403, "spam_risk_too_many_pending_share")
    ]
    publish_id = answers[0].json()["data"]["publish_id"]
    assert publish_id.startswith("v_inbox_url~v2-1.")
    assert tiktok.wait_until_ended(publish_id)["status"] == "SEND_TO_USER_INBOX"
    assert tiktok.sandbox.ledger()[0]["kind"] == "draft"


def test_photos_go_live_with_their_description_and_media(tiktok: TikTok) -> None:
    publish_id = tiktok.photos("sample-1.jpg", "sample-2.jpg", description="Hej #tag")
    assert publish_id.startswith("p_pub_url~v2.")
    assert tiktok.wait_until_ended(publish_id)["status"] == "PUBLISH_COMPLETE"
    (entry,) = tiktok.sandbox.ledger("tiktok")
    assert (entry["kind"], entry["caption"], len(entry["media"])) == ("photos", "Hej #tag", 2)
    assert entry["media"][0]["url"] == tiktok.sandbox.media("sample-1.jpg")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("picture.png", "file_format_check_failed"),
        ("wide.jpg", "picture_size_check_failed"),
        ("none.jpg", "photo_pull_failed"),
    ],
)
def test_a_bad_photo_fails_behind_an_envelope_that_says_ok(tiktok: TikTok, name: str, reason: str) -> None:
    assert tiktok.wait_until_ended(tiktok.photos("sample-1.jpg", name))["fail_reason"] == reason
    assert tiktok.sandbox.ledger() == []


def test_self_only_never_gets_a_public_id(tiktok: TikTok) -> None:
    publish_id = tiktok.photos(privacy_level="SELF_ONLY")
    tiktok.wait_until_ended(publish_id)
    tiktok.sandbox.control_json("POST", "clock", {"advance_s": 60})
    assert [tiktok.status(publish_id)["publicaly_available_post_id"] for _ in range(3)] == [[], [], []]
    listed = tiktok.post("video/list/?fields=id", {"max_count": 20}).json()["data"]
    assert listed["videos"] == []
    assert len(tiktok.sandbox.ledger()) == 1


INVALID = (400, "invalid_params")


@pytest.mark.parametrize(
    ("part", "change", "expected"),
    [
        ("post_info", {"privacy_level": "FOLLOWER_OF_CREATOR"}, (403, "privacy_level_option_mismatch")),
        ("post_info", {"privacy_level": None}, INVALID),
        ("post_info", {"title": "\N{GRINNING FACE}" * 46}, INVALID),
        ("post_info", {"brand_content_toggle": True, "privacy_level": "SELF_ONLY"}, INVALID),
        ("post_info", {"brand_organic_toggle": None}, INVALID),
        ("source_info", {"source": "FILE_UPLOAD"}, INVALID),
        ("source_info", {"photo_images": ["http://127.0.0.1:1/media/sample-1.jpg"] * 36}, INVALID),
        ("source_info", {"photo_cover_index": 1}, INVALID),
        (
            "source_info",
            {"photo_images": ["http://127.0.0.1:1/media/sample-1.jpg"]},
            (403, "url_ownership_unverified"),
        ),
        (None, {"post_mode": "DIRECT POST"}, INVALID),
    ],
)
def test_a_photo_init_that_breaks_a_rule_is_refused_and_shows_nothing(
    tiktok: TikTok, part: str | None, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    body = tiktok.photo_body()
    (body if part is None else body[part]).update(change)
    assert code(tiktok.post("post/publish/content/init/", body)) == expected
    assert tiktok.sandbox.ledger() == []


def test_creator_info_tells_what_the_account_may_do(sandbox: Sandbox) -> None:
    settings = {"comment_disabled": True, "max_video_post_duration_sec": 180}
    account = sandbox.account("tiktok", "shy", private=True, display_name="Shy", options=settings)
    info = TikTok(sandbox=sandbox, account=account).post("post/publish/creator_info/query/").json()["data"]
    assert info["privacy_level_options"] == ["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
    assert (info["creator_nickname"], info["comment_disabled"], info["duet_disabled"]) == ("Shy", True, False)
    assert info["max_video_post_duration_sec"] == 180


def test_an_unaudited_client_may_only_post_for_itself(sandbox: Sandbox) -> None:
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok", "new", options={"unaudited": True}))
    answer = tiktok.post("post/publish/content/init/", tiktok.photo_body())
    assert code(answer) == (403, "unaudited_client_can_only_post_to_private_accounts")


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("post/publish/creator_info/query/", 20),
        ("post/publish/content/init/", 6),
        ("post/publish/video/init/", 6),
        ("post/publish/status/fetch/", 30),
    ],
)
def test_a_minute_has_room_for_so_many_requests(tiktok: TikTok, path: str, limit: int) -> None:
    answers = [tiktok.post(path, {}) for _ in range(limit + 1)]
    assert "rate_limit_exceeded" not in {code(answer)[1] for answer in answers[:-1]}
    assert code(answers[-1]) == (429, "rate_limit_exceeded")
    tiktok.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert code(tiktok.post(path, {}))[0] != 429


def test_a_day_has_room_for_fifteen_posts(tiktok: TikTok) -> None:
    for _ in range(15):
        tiktok.photos()
        tiktok.sandbox.control_json("POST", "clock", {"advance_s": 11})
    refused = tiktok.post("post/publish/content/init/", tiktok.photo_body())
    assert code(refused) == (403, "spam_risk_too_many_posts")
    tiktok.sandbox.control_json("POST", "clock", {"advance_s": 80_000})
    # the token expires 86,400 s after it was issued, before the daily limit is reset
    assert (
        code(tiktok.post("post/publish/content/init/", tiktok.photo_body()))[1] == "spam_risk_too_many_posts"
    )
    tiktok.account = tiktok.sandbox.account("tiktok")
    tiktok.sandbox.control_json("POST", "clock", {"advance_s": 6_400})
    assert code(tiktok.post("post/publish/content/init/", tiktok.photo_body())) == (200, "ok")


def test_only_ones_own_publish_id_can_be_asked_for(tiktok: TikTok) -> None:
    stranger = tiktok.sandbox.account("tiktok", "bob")
    body = {"publish_id": tiktok.photos()}
    path = "post/publish/status/fetch/"
    assert code(tiktok.post(path, body, stranger.access_token)) == (
        400,
        "token_not_authorized_for_specified_publish_id",
    )
    assert code(tiktok.post(path, {"publish_id": "p_pub_url~v2.1"})) == (400, "invalid_publish_id")


def test_a_pull_can_be_cancelled_until_it_is_over(tiktok: TikTok) -> None:
    tiktok.sandbox.fault("tiktok", "finalize", "stuck-processing")
    publish_id = tiktok.photos()
    answer = tiktok.post("post/publish/cancel/", {"publish_id": publish_id})
    assert set(answer.json()) == {"error"}
    assert tiktok.status(publish_id)["fail_reason"] == "publish_cancelled"
    assert code(tiktok.post("post/publish/cancel/", {"publish_id": publish_id})) == (
        400,
        "publish_not_cancellable",
    )


def test_the_list_shows_public_posts_newest_first_in_pages(tiktok: TikTok) -> None:
    tiktok.sandbox.pace("instant", quotas=False)
    for number in range(3):
        tiktok.photos(title=f"post {number}")
        tiktok.sandbox.control_json("POST", "clock", {"advance_s": 1})
    fields = "?fields=id,title,create_time,share_url,video_description,duration"
    page = tiktok.post(f"video/list/{fields}", {"max_count": 2}).json()["data"]
    assert ([video["title"] for video in page["videos"]], page["has_more"]) == (["post 2", "post 1"], True)
    rest = tiktok.post(f"video/list/{fields}", {"max_count": 2, "cursor": page["cursor"]}).json()["data"]
    assert ([video["title"] for video in rest["videos"]], rest["has_more"]) == (["post 0"], False)
    assert rest["videos"][0]["share_url"].startswith("https://www.tiktok.com/@ann/photo/")


def test_a_missing_scope_and_a_missing_slash_are_refused(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok", "reader", options={"scopes": ["user.info.basic"]})
    tiktok = TikTok(sandbox=sandbox, account=account)
    assert code(tiktok.post("post/publish/creator_info/query/")) == (401, "scope_not_authorized")
    assert tiktok.post("post/publish/creator_info/query").status_code == 404
    assert code(tiktok.post("post/publish/creator_info/query/", token="none")) == (
        401,
        "access_token_invalid",
    )


def test_refresh_rotates_and_the_old_token_lives_until_the_new_one_is_used(tiktok: TikTok) -> None:
    def refresh(token: str | None, **change: str) -> requests.Response:
        return VENDORS_BY_PLATFORM["tiktok"].refresh(tiktok.sandbox, token, **change)

    old = tiktok.account.refresh_token
    lost = refresh(old).json()
    fresh = refresh(old).json()
    assert fresh["refresh_token"] not in (old, lost["refresh_token"])
    assert code(tiktok.post("post/publish/creator_info/query/", token=fresh["access_token"])) == (200, "ok")
    assert (refresh(old).status_code, refresh(old).json()["error"]) == (400, "invalid_grant")
    assert refresh(fresh["refresh_token"]).json()["open_id"] == tiktok.account.remote_id
    assert refresh(fresh["refresh_token"], client_key="").json()["error"] == "invalid_client"
