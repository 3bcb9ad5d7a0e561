"""Facebook Pages on the sandbox: photos, feed posts, reels, videos, limits and faults."""

import json
from hashlib import sha256
from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Facebook, graph_error
from tests.adapters.sandbox.process import Sandbox, wait_until


@pytest.fixture
def page(quick: Sandbox) -> Facebook:
    return Facebook(sandbox=quick, account=quick.account("facebook"))


def test_a_page_is_connected_as_a_page_and_its_token_has_no_end(page: Facebook) -> None:
    answer = page.account.answer
    assert (answer["connection"], "expires_in" in answer, "refresh_token" in answer) == ("page", False, False)
    assert answer["scopes"] == [
        "pages_show_list",
        "pages_read_engagement",
        "pages_manage_posts",
        "pages_manage_engagement",
    ]


def test_a_text_with_a_link_shows_a_card(page: Facebook) -> None:
    link = "https://example.com/news?a=1"
    made = page.call_page("POST", "feed", {"message": "words", "link": link, "published": False})
    assert (made.status_code, page.published()) == (200, [])
    assert page.publish(made.json()["id"]).ok
    assert page.feed("other words").ok
    (text, card) = page.published()
    assert ("attachments" in text, card["attachments"]["data"]) == (
        False,
        [{"media_type": "link", "type": "share", "target": {"url": link}}],
    )
    assert [entry["extra"]["link"] for entry in page.sandbox.ledger()] == [link, None]


@pytest.mark.parametrize(
    ("link", "error"),
    [
        ("https://no-such-site.invalid/", (1609005, None)),
        ("https://www.facebook.com/page", (100, 1609008)),
        ("words", (100, 2061006)),
    ],
)
def test_a_link_that_cannot_be_read_is_refused(
    page: Facebook, link: str, error: tuple[int, int | None]
) -> None:
    answer = page.call_page("POST", "feed", {"message": "words", "link": link})
    assert (answer.status_code, graph_error(answer)) == (400, error)
    assert page.sandbox.ledger() == []


def test_a_direct_post_is_live_at_once(page: Facebook) -> None:
    photos = [page.photo(), page.photo("sample-2.jpg")]
    answer = page.feed("direct", tuple(photos))
    (entry,) = page.sandbox.ledger()
    assert (entry["remote_id"], entry["caption"]) == (answer.json()["id"], "direct")
    again = page.feed("other words", tuple(photos))
    assert (again.status_code, graph_error(again)) == (400, (1366051, None))


def test_one_photo_can_be_published_at_once(page: Facebook) -> None:
    picture = page.sandbox.folder / "media" / "picture.png"
    made = page.call_page(
        "POST", "photos", {"url": page.sandbox.media(picture.name), "message": "one"}
    ).json()
    assert set(made) == {"id", "post_id"}
    (entry,) = page.sandbox.ledger()
    assert (entry["kind"], entry["remote_id"], entry["media"][0]["bytes"]) == (
        "image",
        made["post_id"],
        picture.stat().st_size,
    )


def test_the_same_words_twice_in_a_row_are_refused(page: Facebook) -> None:
    assert page.feed("same").ok
    assert graph_error(page.feed("same")) == (506, None)
    assert graph_error(page.feed("same", published=False)) == (506, None)
    assert page.feed("other").ok
    assert page.feed("same").ok
    assert [entry["caption"] for entry in page.sandbox.ledger()] == ["same", "other", "same"]


def test_an_unpublished_photo_expires_after_a_day_unless_a_post_holds_it(page: Facebook) -> None:
    held, loose = page.photo(), page.photo("sample-2.jpg")
    post = page.create_unpublished("held", held)
    page.sandbox.control_json("POST", "clock", {"advance_s": 86_401})
    assert graph_error(page.feed("late", (loose,))) == (100, None)
    assert page.publish(post).ok


def test_what_no_post_shows_can_be_deleted(page: Facebook) -> None:
    held, loose = page.photo(), page.photo("sample-2.jpg")
    post = page.create_unpublished("held", held)
    assert graph_error(page.call("DELETE", held)) == (100, 33)
    assert page.call("DELETE", loose).json() == {"success": True}
    assert page.call("DELETE", post).json() == {"success": True}
    assert graph_error(page.publish(post)) == (100, 33)
    assert page.sandbox.ledger() == []


@pytest.mark.parametrize(
    ("edge", "body", "expected"),
    [
        ("photos", {}, (100, None)),
        ("photos", {"url": "http://elsewhere.example/a.jpg"}, (100, None)),
        ("photos", {"url": "sample.mp4"}, (1366046, None)),
        ("feed", {}, (100, None)),
        ("feed", {"message": "m", "attached_media": [{"media_fbid": "1"}]}, (100, None)),
        ("feed", {"message": "m", "attached_media": "no json"}, (100, None)),
        ("feed", {"message": "m", "scheduled_publish_time": 1}, (100, None)),
        ("video_reels", {}, (100, None)),
        ("video_reels", {"upload_phase": "finish"}, (100, None)),
        ("videos", {"upload_phase": "start"}, (100, None)),
        ("videos", {"file_url": "http://x.example/a.mp4"}, (100, None)),
    ],
)
def test_what_breaks_a_rule_is_refused(
    page: Facebook, edge: str, body: dict[str, Any], expected: tuple[int, int | None]
) -> None:
    sent = {
        name: page.sandbox.media(value) if name == "url" and "://" not in value else value
        for name, value in body.items()
    }
    answer = page.call_page("POST", edge, sent)
    assert (answer.status_code, graph_error(answer)) == (400, expected)
    assert page.sandbox.ledger() == []


def test_a_reel_goes_through_its_phases(page: Facebook, video_bytes: bytes) -> None:
    made = page.call_page("POST", "video_reels", {"upload_phase": "start"}).json()
    video = made["video_id"]
    assert page.status(video)["status"]["video_status"] == "uploading"
    half = len(video_bytes) // 2
    assert page.send(made["upload_url"], video_bytes[:half], 0, len(video_bytes)).ok
    wrong = page.send(made["upload_url"], video_bytes, 0, len(video_bytes)).json()["debug_info"]
    assert (wrong["type"], wrong["retriable"]) == ("OffsetInvalidError", True)
    phase = page.status(video)["status"]["uploading_phase"]
    assert phase == {"status": "in_progress", "bytes_transfered": half}
    assert graph_error(page.finish(video)) == (6001, None)
    assert page.send(made["upload_url"], video_bytes[half:], half, len(video_bytes)).ok
    assert page.status(video)["status"]["video_status"] == "upload_complete"
    assert page.sandbox.ledger() == []
    assert page.finish(video, description="d", title="t").json() == {"success": True}
    shown = page.wait_until_live(video)
    assert shown["status"]["publishing_phase"]["publish_status"] == "published"
    assert page.finish(video).json() == {"success": True}
    (entry,) = page.sandbox.ledger()
    assert (entry["kind"], entry["remote_id"], entry["caption"]) == ("reel", video, "d")
    assert (entry["extra"]["post_id"], entry["url"]) == (shown["post_id"], shown["permalink_url"])
    assert page.call_page("GET", "video_reels", fields="id").json()["data"] == [{"id": video}]


def test_an_upload_that_is_cut_goes_on_where_it_was_cut(page: Facebook, video_bytes: bytes) -> None:
    made = page.call_page("POST", "video_reels", {"upload_phase": "start"}).json()

    def send_then_fail() -> Any:
        yield video_bytes[:5000]
        raise OSError("the sender dies")

    headers = {"Authorization": f"OAuth {page.account.access_token}", "offset": "0"}
    headers |= {"file_size": str(len(video_bytes))}
    with pytest.raises(OSError, match="the sender dies"):
        requests.post(made["upload_url"], data=send_then_fail(), headers=headers, timeout=30)
    sent = wait_until(lambda: page.status(made["video_id"])["status"]["uploading_phase"]["bytes_transfered"])
    assert sent == 5000
    assert page.send(made["upload_url"], video_bytes[sent:], sent, len(video_bytes)).ok
    assert page.finish(made["video_id"]).ok
    assert page.sandbox.ledger()[0]["media"][0]["bytes"] == len(video_bytes)


def test_a_reel_can_come_from_a_url_and_be_a_draft_first(page: Facebook) -> None:
    made = page.call_page("POST", "video_reels", {"upload_phase": "start"}).json()
    headers = {"Authorization": f"OAuth {page.account.access_token}"}
    headers["file_url"] = page.sandbox.media("sample.mp4")
    assert requests.post(made["upload_url"], headers=headers, timeout=30).json() == {"success": True}
    assert page.finish(made["video_id"], "DRAFT").ok
    assert page.status(made["video_id"])["status"]["publishing_phase"]["publish_status"] == "draft"
    assert page.sandbox.ledger() == []
    assert page.finish(made["video_id"]).ok
    assert len(page.sandbox.ledger()) == 1


def upload_in_chunks(page: Facebook, video_bytes: bytes) -> dict[str, str]:
    """Upload a video in chunks, up to but not including the finish phase; return its session and video ids."""
    made = page.call_page("POST", "videos", {"upload_phase": "start", "file_size": len(video_bytes)}).json()
    url = f"{page.sandbox.base}/facebook/v25.0/{page.account.remote_id}/videos"
    offsets = made
    while offsets["start_offset"] != offsets["end_offset"]:
        start, end = int(offsets["start_offset"]), int(offsets["end_offset"])
        form = {"upload_phase": "transfer", "upload_session_id": made["upload_session_id"]}
        form |= {"start_offset": str(start), "access_token": page.account.access_token}
        files = {"video_file_chunk": ("chunk", video_bytes[start:end], "application/octet-stream")}
        offsets = requests.post(url, data=form, files=files, timeout=30).json()
    return {"upload_session_id": made["upload_session_id"], "video_id": made["video_id"]}


def test_a_videos_thumbnail_is_an_image_of_at_most_10_mb(page: Facebook, video_bytes: bytes) -> None:
    made = upload_in_chunks(page, video_bytes)
    picture = (page.sandbox.folder / "media" / "sample-1.jpg").read_bytes()
    url = f"{page.sandbox.base}/facebook/v27.0/{page.account.remote_id}/videos"
    form = {"upload_phase": "finish", "upload_session_id": made["upload_session_id"]}
    form |= {"access_token": page.account.access_token, "is_ai_generated": "true"}

    def finish(picture: bytes | None, **more: str) -> requests.Response:
        files = None if picture is None else {"thumb": ("thumb", picture, "image/jpeg")}
        return requests.post(url, data=form | more, files=files, timeout=30)

    assert graph_error(finish(b"no picture")) == (100, None)
    assert graph_error(finish(picture + bytes(10 << 20))) == (100, None)
    assert graph_error(finish(None, thumb="https://example.com/1.jpg")) == (100, None)
    assert finish(picture).json() == {"success": True}
    page.wait_until_live(made["video_id"])
    (entry,) = page.sandbox.ledger()
    assert (entry["extra"]["thumb"], entry["extra"]["is_ai_generated"]) == (
        sha256(picture).hexdigest(),
        True,
    )


def test_a_video_can_be_finished_unpublished(page: Facebook, video_bytes: bytes) -> None:
    made = upload_in_chunks(page, video_bytes)
    body = {"upload_phase": "finish", "upload_session_id": made["upload_session_id"], "published": False}
    assert page.call_page("POST", "videos", body).ok
    assert page.status(made["video_id"])["published"] is False
    assert page.sandbox.ledger() == []


def test_a_chunk_at_the_wrong_place_is_refused(page: Facebook, video_bytes: bytes) -> None:
    made = page.call_page("POST", "videos", {"upload_phase": "start", "file_size": len(video_bytes)}).json()
    url = f"{page.sandbox.base}/facebook/v25.0/{page.account.remote_id}/videos"
    form = {"upload_phase": "transfer", "upload_session_id": made["upload_session_id"], "start_offset": "7"}
    form["access_token"] = page.account.access_token
    answer = requests.post(url, data=form, files={"video_file_chunk": ("c", b"x" * 10)}, timeout=30)
    assert graph_error(answer) == (6001, 1363037)
    wanted = {"start_offset": "0", "end_offset": str(len(video_bytes))}
    assert answer.json()["error"]["error_data"] == wanted


def test_a_failed_reel_hides_its_error_in_a_phase_that_has_not_started(
    page: Facebook, video_bytes: bytes
) -> None:
    video = page.reel(video_bytes)
    page.sandbox.fault("facebook", "finalize", "fail-processing", reason="Resolution too low.")
    assert page.finish(video).ok
    phase = page.status(video)["status"]["processing_phase"]
    assert phase == {"status": "not_started", "error": {"message": "Resolution too low."}}
    assert page.sandbox.ledger() == []


def test_a_page_takes_30_reels_a_day(sandbox: Sandbox, video_bytes: bytes) -> None:
    sandbox.pace("instant", quotas=True)
    page = Facebook(sandbox=sandbox, account=sandbox.account("facebook"))
    answers = [page.finish(page.reel(video_bytes)).status_code for _ in range(31)]
    assert answers == [200] * 30 + [400]


def test_every_answer_tells_the_usage(sandbox: Sandbox) -> None:
    page = Facebook(sandbox=sandbox, account=sandbox.account("facebook", options={"usage": 95}))
    headers = page.call_page("GET", "published_posts").headers
    ((usage,),) = json.loads(headers["X-Business-Use-Case-Usage"]).values()
    assert (usage["call_count"], headers["X-App-Usage"].startswith("{")) == (95, True)
    page.sandbox.fault("facebook", "look", "429", retry_after=120)
    throttled = page.call_page("GET", "published_posts")
    ((usage,),) = json.loads(throttled.headers["X-Business-Use-Case-Usage"]).values()
    assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (100, 2)


def test_what_was_just_written_may_not_be_readable_yet(page: Facebook) -> None:
    page.sandbox.fault("facebook", "prepare", "late-visibility", delay_ms=60_000)
    post = page.create_unpublished("gap")
    assert graph_error(page.call("GET", post, fields="is_published")) == (100, 33)
    assert page.publish(post).ok
    assert (page.published(), len(page.sandbox.ledger())) == ([], 1)
    page.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert [row["id"] for row in page.published()] == [post]
    page.sandbox.fault("facebook", "look", "late-visibility")
    assert graph_error(page.call("GET", post)) == (100, 33)
    assert page.call("GET", post).ok


def test_a_page_without_the_task_or_the_scope_cannot_post(sandbox: Sandbox) -> None:
    reader = Facebook(
        sandbox=sandbox, account=sandbox.account("facebook", "r", options={"tasks": ["ANALYZE"]})
    )
    assert graph_error(reader.feed()) == (200, None)
    scopes = {"scopes": ["pages_show_list", "pages_read_engagement"]}
    lacking = Facebook(sandbox=sandbox, account=sandbox.account("facebook", "l", options=scopes))
    assert graph_error(lacking.feed()) == (10, None)
    assert graph_error(lacking.call("POST", f"{reader.account.remote_id}/feed", {"message": "m"})) == (
        10,
        None,
    )


# --- stories ---------------------------------------------------------------------------------------------------------


def list_stories(page: Facebook, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = page.call_page("GET", "stories", **query).json()["data"]
    return rows


def test_an_unused_photo_becomes_a_story_once_and_is_in_no_other_list(page: Facebook) -> None:
    key = page.photo()
    answer = page.call_page("POST", "photo_stories", {"photo_id": key}).json()
    assert answer["success"] is True
    [row] = list_stories(page)
    assert (row["post_id"], row["status"], row["media_id"]) == (answer["post_id"], "published", key)
    assert row["post_id"] not in row["url"]
    assert row.keys() == {"post_id", "status", "creation_time", "media_id", "url"}
    assert page.published() == []
    [entry] = page.sandbox.ledger("facebook")
    assert (entry["kind"], entry["remote_id"], entry["url"]) == ("story", row["post_id"], row["url"])
    again = page.call_page("POST", "photo_stories", {"photo_id": key})
    assert graph_error(again)[0] == 1366051
    attached = page.photo("sample-2.jpg")
    page.create_unpublished("hej", attached)
    assert graph_error(page.call_page("POST", "photo_stories", {"photo_id": attached}))[0] == 1366051
    by_url = page.call_page("POST", "photo_stories", {"url": "https://cdn.example.com/1.jpg"})
    assert graph_error(by_url)[0] == 1
    assert len(page.sandbox.ledger("facebook")) == 1


@pytest.mark.parametrize("archive", [False, True])
def test_a_story_is_over_after_a_day_and_listed_then_only_from_an_archive(
    quick: Sandbox, *, archive: bool
) -> None:
    page = Facebook(sandbox=quick, account=quick.account("facebook", options={"archive": archive}))
    page.call_page("POST", "photo_stories", {"photo_id": page.photo()})
    quick.control_json("POST", "clock", {"advance_s": 86_401})
    assert [row["status"] for row in list_stories(page)] == (["archived"] if archive else [])
    assert list_stories(page, status="PUBLISHED") == []


def test_a_video_becomes_a_story_and_lasts_a_minute_at_most(page: Facebook) -> None:
    data = (page.sandbox.folder / "media" / "sample.mp4").read_bytes()
    started = page.call_page("POST", "video_stories", {"upload_phase": "start"}).json()
    page.send(started["upload_url"], data, 0, len(data))
    answer = page.call_page(
        "POST", "video_stories", {"upload_phase": "finish", "video_id": started["video_id"]}
    ).json()
    page.wait_until_live(started["video_id"])
    [row] = list_stories(page)
    assert (row["post_id"], row["media_id"]) == (answer["post_id"], started["video_id"])
    again = page.call_page(
        "POST", "video_stories", {"upload_phase": "finish", "video_id": started["video_id"]}
    )
    assert graph_error(again)[0] == 100
    assert graph_error(page.call_page("POST", "video_stories", {"upload_phase": "pause"}))[0] == 100
