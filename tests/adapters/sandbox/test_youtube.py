"""YouTube on the sandbox: the resumable protocol, the states of a video, quotas, and Google's own client."""

from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import YouTube, google_error
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM
from tests.adapters.sandbox.process import Sandbox, wait_until

GRANULE = 256 << 10


@pytest.fixture
def channel(quick: Sandbox) -> YouTube:
    return YouTube(sandbox=quick, account=quick.account("youtube"))


def test_a_channel_is_connected_with_a_refresh_token_that_has_no_end(channel: YouTube) -> None:
    answer = channel.account.answer
    assert (answer["connection"], answer["expires_in"]) == ("channel", 3599)
    assert (bool(answer["refresh_token"]), "refresh_expires_in" in answer) == (True, False)
    (item,) = channel.call("GET", "youtube/v3/channels", part="id,contentDetails", mine="true").json()[
        "items"
    ]
    assert item["id"] == channel.account.remote_id
    assert item["contentDetails"]["relatedPlaylists"]["uploads"] == "UU" + channel.account.remote_id[2:]


def test_a_film_goes_up_in_chunks_and_is_live_with_the_last_one(channel: YouTube, large: bytes) -> None:
    session, total, step = (
        channel.session(len(large), description="d", tags=["a b"]),
        len(large),
        16 * GRANULE,
    )
    first = channel.probe(session, total)
    assert (first.status_code, "Range" in first.headers) == (308, False)
    starts = range(0, total, step)
    for start in starts[:-1]:
        answer = channel.put(session, large[start : start + step], start, total)
        assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{start + step - 1}")
    assert channel.sandbox.ledger() == []
    answer = channel.put(session, large[starts[-1] :], starts[-1], total)
    assert (answer.status_code, answer.json()["status"]["uploadStatus"]) == (201, "uploaded")
    again = channel.probe(session, total)
    assert (again.status_code, again.json()) == (201, answer.json())
    assert channel.put(session, large[-10:], total - 10, total).json()["id"] == answer.json()["id"]
    (entry,) = channel.sandbox.ledger("youtube")
    assert (entry["remote_id"], entry["caption"], entry["media"][0]["bytes"]) == (
        answer.json()["id"],
        "clip",
        total,
    )
    assert (entry["extra"]["tags"], entry["extra"]["short"]) == (["a b"], True)


def test_the_whole_film_can_go_in_one_put(channel: YouTube, video_bytes: bytes) -> None:
    headers = {"Authorization": f"Bearer {channel.account.access_token}", "Content-Type": "video/mp4"}
    answer = requests.put(channel.session(len(video_bytes)), data=video_bytes, headers=headers, timeout=30)
    assert answer.status_code == 201
    (video,) = channel.videos(answer.json()["id"], part="status,processingDetails,fileDetails,snippet")
    assert (video["status"]["uploadStatus"], video["processingDetails"]["processingStatus"]) == (
        "processed",
        "succeeded",
    )
    assert video["fileDetails"]["fileSize"] == str(len(video_bytes))


def test_overlaps_and_gaps_store_nothing_and_odd_chunks_are_refused(channel: YouTube, large: bytes) -> None:
    session, total = channel.session(len(large)), len(large)
    assert channel.put(session, large[: 2 * GRANULE], 0, total).status_code == 308
    for first in (0, GRANULE, 3 * GRANULE):
        answer = channel.put(session, large[first : first + GRANULE], first, total)
        assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{2 * GRANULE - 1}")
    odd = channel.put(session, large[2 * GRANULE : 3 * GRANULE - 1], 2 * GRANULE, total)
    assert odd.status_code == 400
    assert channel.put(session, large[2 * GRANULE : 3 * GRANULE], 2 * GRANULE, total - 1).status_code == 400
    assert channel.probe(session, total).headers["Range"] == f"bytes=0-{2 * GRANULE - 1}"


def test_a_server_may_store_less_than_was_sent(channel: YouTube, large: bytes) -> None:
    session, total = channel.session(len(large)), len(large)
    channel.sandbox.fault("youtube", "upload", "short-store")
    answer = channel.put(session, large[: 4 * GRANULE], 0, total)
    assert answer.headers["Range"] == f"bytes=0-{2 * GRANULE - 1}"
    channel.sandbox.fault("youtube", "finalize", "short-store")
    rest = channel.put(session, large[2 * GRANULE :], 2 * GRANULE, total)
    assert (rest.status_code, channel.sandbox.ledger()) == (308, [])
    stored = int(rest.headers["Range"].rpartition("-")[2]) + 1
    assert channel.put(session, large[stored:], stored, total).status_code == 201
    assert channel.sandbox.ledger()[0]["media"][0]["bytes"] == total


def test_a_session_can_move(channel: YouTube, large: bytes) -> None:
    session, total = channel.session(len(large)), len(large)
    channel.sandbox.fault("youtube", "upload", "moved-session")
    moved = channel.put(session, large[:GRANULE], 0, total).headers["Location"]
    assert google_error(channel.probe(session, total)) == (404, "notFound")
    assert channel.put(moved, large[GRANULE:], GRANULE, total).status_code == 201


def test_a_cut_upload_keeps_whole_granules(channel: YouTube, large: bytes) -> None:
    session, total = channel.session(len(large)), len(large)

    def send_then_fail() -> Any:
        yield large[: GRANULE + 1000]
        raise OSError("the sender dies")

    headers = {"Authorization": f"Bearer {channel.account.access_token}", "Content-Length": str(total)}
    request = requests.Request("PUT", session, data=send_then_fail(), headers=headers).prepare()
    del request.headers["Transfer-Encoding"]
    with requests.Session() as http, pytest.raises(OSError, match="the sender dies"):
        http.send(request, timeout=30)
    seen = wait_until(lambda: channel.probe(session, total).headers.get("Range"))
    assert seen == f"bytes=0-{GRANULE - 1}"
    assert channel.put(session, large[GRANULE:], GRANULE, total).status_code == 201


def test_a_token_can_end_in_the_middle_and_the_session_goes_on(channel: YouTube, large: bytes) -> None:
    session, total = channel.session(len(large)), len(large)
    channel.put(session, large[:GRANULE], 0, total)
    account = {"platform": "youtube", "remote_id": channel.account.remote_id}
    channel.sandbox.control_json("POST", "tokens", account | {"state": "expired"})
    assert google_error(channel.put(session, large[GRANULE:], GRANULE, total)) == (401, "authError")
    vendor = VENDORS_BY_PLATFORM["youtube"]
    fresh = vendor.refresh(channel.sandbox, channel.account.refresh_token).json()
    channel.account.access_token = fresh["access_token"]
    assert channel.put(session, large[GRANULE:], GRANULE, total).status_code == 201


def test_a_session_lives_a_week(channel: YouTube, video_bytes: bytes) -> None:
    session = channel.session(len(video_bytes))
    channel.sandbox.control_json("POST", "clock", {"advance_s": 7 * 86_400 + 1})
    channel.sandbox.control_json(
        "POST", "tokens", {"platform": "youtube", "remote_id": channel.account.remote_id, "state": "valid"}
    )
    channel.account.access_token = channel.sandbox.account("youtube").access_token
    assert google_error(channel.probe(session, len(video_bytes))) == (404, "notFound")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"title": ""}, "invalidTitle"),
        ({"title": "x" * 101}, "invalidTitle"),
        ({"title": "a < b"}, "invalidTitle"),
        ({"description": "é" * 2501}, "invalidDescription"),
        ({"tags": ["x" * 499, "a b"]}, "invalidTags"),
        ({"categoryId": "music"}, "invalidCategoryId"),
        ({"status": {"privacyStatus": "secret"}}, "invalidVideoMetadata"),
        ({"status": {"publishAt": "2099-01-01T00:00:00Z"}}, "invalidPublishAt"),
        ({"status": {"privacyStatus": "private", "publishAt": "2001-01-01T00:00:00Z"}}, "invalidPublishAt"),
    ],
)
def test_metadata_that_breaks_a_rule_is_refused(
    channel: YouTube, more: dict[str, Any], expected: str
) -> None:
    assert google_error(channel.open(1000, **more)) == (400, expected)


def test_parts_are_named(channel: YouTube) -> None:
    upload = "upload/youtube/v3/videos"
    body = {"snippet": {"title": "t"}, "status": {}}
    assert (
        google_error(channel.call("POST", upload, body, uploadType="resumable"))[1]
        == "missingRequiredParameter"
    )
    half = channel.call("POST", upload, body, uploadType="resumable", part="snippet")
    assert google_error(half) == (400, "unexpectedPart")
    assert google_error(channel.call("GET", "youtube/v3/videos", part="hologram", id="x"))[1] == "unknownPart"


def test_a_day_has_100_uploads_and_ends_at_midnight_in_california(sandbox: Sandbox) -> None:
    sandbox.pace("instant", quotas=True)
    channel = YouTube(sandbox=sandbox, account=sandbox.account("youtube"))
    answers = [channel.open(1000) for _ in range(101)]
    assert {answer.status_code for answer in answers[:100]} == {200}
    assert google_error(answers[100]) == (403, "quotaExceeded")
    assert answers[100].json()["error"]["errors"][0]["domain"] == "youtube.quota"
    sandbox.control_json("POST", "clock", {"advance_s": 86_400})
    channel.account.access_token = sandbox.account("youtube").access_token
    assert channel.open(1000).ok


def test_the_uploads_are_listed_newest_first_in_pages(channel: YouTube, video_bytes: bytes) -> None:
    keys = [channel.upload(video_bytes, title=f"clip {number}") for number in range(3)]
    first = channel.uploads(maxResults=2)
    assert [item["contentDetails"]["videoId"] for item in first["items"]] == keys[:0:-1]
    second = channel.uploads(maxResults=2, pageToken=first["nextPageToken"])
    assert [item["snippet"]["title"] for item in second["items"]] == ["clip 0"]
    assert (first["pageInfo"]["totalResults"], "nextPageToken" in second) == (3, False)
    foreign = channel.call("GET", "youtube/v3/playlistItems", part="id", playlistId="UUnobody")
    assert google_error(foreign) == (404, "playlistNotFound")
    assert channel.videos("gone", keys[0])[0]["id"] == keys[0]


@pytest.mark.parametrize(
    ("ordered", "status"),
    [
        ("duplicate", {"uploadStatus": "rejected", "rejectionReason": "duplicate"}),
        (None, {"uploadStatus": "failed", "failureReason": "conversion"}),
    ],
)
def test_a_video_that_fails_was_never_live(
    channel: YouTube, video_bytes: bytes, ordered: str | None, status: dict[str, str]
) -> None:
    channel.sandbox.fault("youtube", "finalize", "fail-processing", reason=ordered)
    (video,) = channel.videos(channel.upload(video_bytes))
    assert status.items() <= video["status"].items()
    assert channel.sandbox.ledger() == []


def test_what_is_no_film_fails(channel: YouTube) -> None:
    (video,) = channel.videos(channel.upload(b"not a video"))
    assert video["status"]["failureReason"] == "invalidFile"
    assert channel.sandbox.ledger() == []


def test_late_visibility_hides_a_video_that_is_live(channel: YouTube, video_bytes: bytes) -> None:
    channel.sandbox.fault("youtube", "finalize", "late-visibility", delay_ms=60_000)
    key = channel.upload(video_bytes)
    assert (channel.videos(key), channel.uploads()["items"], len(channel.sandbox.ledger())) == ([], [], 1)
    channel.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert (len(channel.videos(key)), len(channel.uploads()["items"])) == (1, 1)


def test_a_quota_is_the_projects_or_the_channels(channel: YouTube) -> None:
    for reason, expected in {
        "quotaExceeded": (403, "quotaExceeded"),
        "uploadLimitExceeded": (400, "uploadLimitExceeded"),
    }.items():
        channel.sandbox.fault("youtube", "prepare", "quota-exhausted", reason=reason)
        assert google_error(channel.open(10)) == expected


def test_a_token_that_may_only_upload_cannot_list(sandbox: Sandbox) -> None:
    scopes = {"scopes": ["https://www.googleapis.com/auth/youtube.upload"]}
    channel = YouTube(sandbox=sandbox, account=sandbox.account("youtube", options=scopes))
    answer = channel.call("GET", "youtube/v3/channels", part="id", mine="true")
    assert google_error(answer) == (403, "insufficientPermissions")
    without_channel = YouTube(
        sandbox=sandbox, account=sandbox.account("youtube", "n", options={"no_channel": True})
    )
    assert google_error(without_channel.open(10)) == (401, "youtubeSignupRequired")
