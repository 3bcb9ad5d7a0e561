"""Facebook, YouTube, Pinterest and LinkedIn answer with the shapes that the vendors' documentation prints.

The examples are copied as they stood on 2026-11-24; test_examples.py says how they are read.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.adapters.sandbox.clients import Facebook, LinkedIn, Pinterest, YouTube
from tests.adapters.sandbox.process import Sandbox
from tests.adapters.sandbox.test_examples import compare, parsed, with_values

REEL_START = '{"video_id":"123","upload_url":"https://rupload.facebook.com/video-upload/v25.0/123"}'
REEL_STATUS = """\
{"status":{"video_status":"processing","uploading_phase":{"status":"in_progress","bytes_transfered":50002},
 "processing_phase":{"status":"not_started","error":{"message":"…"}},
 "publishing_phase":{"status":"not_started","publish_status":"published","publish_time":280280}}}"""
VIDEO_START = '{"video_id":"…","upload_session_id":"…","start_offset":"0","end_offset":"1048576"}'
RUPLOAD_ERROR = '{"debug_info":{"retriable":true,"type":"OffsetInvalidError","message":"…"}}'
YOUTUBE_REQUEST = """\
{"snippet":{"title":"…","description":"…","tags":["a"],"categoryId":"22"},
 "status":{"privacyStatus":"private","publishAt":"2099-12-01T10:00:00Z","embeddable":true,"license":"youtube",
           "selfDeclaredMadeForKids":false,"containsSyntheticMedia":false}}"""
YOUTUBE_VIDEO = (
    '{"kind":"youtube#video","etag":"…","id":"dQw4w9WgXcQ","snippet":{"…":1,"title":"…"},'
    '"status":{"uploadStatus":"uploaded","privacyStatus":"private","…":1}}'
)
YOUTUBE_ERROR = (
    '{"error":{"code":403,"message":"…","errors":[{"domain":"youtube.quota","reason":"quotaExceeded",'
    '"message":"…"}]}}'
)
GOOGLE_TOKEN = '{"access_token":"…","expires_in":3599,"scope":"…","token_type":"Bearer"}'
PIN = """\
{"board_id":"549755885175","title":"≤100","description":"≤800","link":"https://… ≤2048","alt_text":"≤500",
 "media_source":{"source_type":"image_url","url":"https://…/a.jpg"}}"""
MEDIA = (
    '{"media_id":"12345","media_type":"video",'
    '"upload_url":"https://pinterest-media-upload.s3-accelerate.amazonaws.com/","upload_parameters":'
    '{"x-amz-date":"20220127T185143Z","x-amz-signature":"…","x-amz-security-token":"…",'
    '"x-amz-algorithm":"AWS4-HMAC-SHA256","key":"uploads/…","policy":"…","x-amz-credential":"…",'
    '"Content-Type":"multipart/form-data"}}'
)
PINTEREST_TOKEN = (
    '{"access_token":"…","refresh_token":"…","response_type":"…","token_type":"bearer","expires_in":2592000,'
    '"refresh_token_expires_in":5184000,"refresh_token_expires_at":1,"scope":"…"}'
)
BOARD_MISSING = '{"code":40,"message":"Board not found."}'
NOT_PERMITTED = '{"code":29,"message":"You are not permitted to access that resource."}'
IMAGE_START = (
    '{"value":{"uploadUrlExpiresAt":1650567510704,"uploadUrl":"https://www.linkedin.com/dms-uploads/…",'
    '"image":"urn:li:image:C4E10AQFoyyAjHPMQuQ"}}'
)
VIDEO_PARTS = """\
{"value":{"uploadUrlsExpireAt":1633540000000,"video":"urn:li:video:C5F10AQGKQg_6y2a4sQ",
 "uploadInstructions":[{"uploadUrl":"https://www.linkedin.com/dms-uploads/…","firstByte":0,"lastByte":4194303}],
 "uploadToken":""}}"""
POST = """\
{"author":"urn:li:organization:5515715","commentary":"text","visibility":"PUBLIC",
 "distribution":{"feedDistribution":"MAIN_FEED","targetEntities":[],"thirdPartyDistributionChannels":[]},
 "content":{"media":{"id":"urn:li:video:…","title":"…"}},
 "lifecycleState":"PUBLISHED","isReshareDisabledByAuthor":false}"""
LINKEDIN_ERROR = '{"status":403,"code":"ACCESS_DENIED","message":"…","serviceErrorCode":100}'
SUNSET = '{"status":426,"code":"NONEXISTENT_VERSION","message":"Requested version 2024… is not active"}'
DUPLICATE = (
    '{"errorDetailType":"com.linkedin.common.error.BadRequest",'
    '"message":"… Content is a duplicate of urn:li:share:6789…","errorDetails":{"inputErrors":'
    '[{"description":"Duplicate post is detected","input":{…},"code":"DUPLICATE_POST"}]},"status":422}'
)


@pytest.fixture
def page(quick: Sandbox) -> Facebook:
    return Facebook(sandbox=quick, account=quick.account("facebook"))


@pytest.fixture
def channel(quick: Sandbox) -> YouTube:
    return YouTube(sandbox=quick, account=quick.account("youtube"))


@pytest.fixture
def pinner(quick: Sandbox) -> Pinterest:
    return Pinterest(sandbox=quick, account=quick.account("pinterest", options={"default_board": True}))


@pytest.fixture
def company(quick: Sandbox) -> LinkedIn:
    return LinkedIn(sandbox=quick, account=quick.account("linkedin", options={"kind": "organization"}))


def within(example: Any, answer: Any, place: str = "answer") -> None:
    """Every field of the answer is one of the example, which shows more states than there can be at once."""
    assert type(example) is type(answer), f"{place}: {answer!r} is not like {example!r}"
    if isinstance(example, dict):
        assert set(answer) <= set(example), f"{place} has {set(answer) - set(example)} too many"
        for name, value in answer.items():
            within(example[name], value, f"{place}.{name}")


def _start_reel(page: Facebook) -> requests.Response:
    return page.call_page("POST", "video_reels", {"upload_phase": "start"})


def _photo(page: Facebook, *, published: bool) -> requests.Response:
    return page.call_page(
        "POST", "photos", {"url": page.sandbox.media("sample-1.jpg"), "published": published}
    )


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        ('{"id":"1"}', lambda page: _photo(page, published=False)),
        ('{"id":"1","post_id":"1_2"}', lambda page: _photo(page, published=True)),
        ('{"id":"{page}_{post}"}', lambda page: page.feed("x", published=False)),
        ('{"success":true}', lambda page: page.publish(page.create_unpublished("x"))),
        (
            '{"is_published":false,"id":"1"}',
            lambda page: page.call("GET", page.create_unpublished("x"), fields="is_published"),
        ),
        (REEL_START, _start_reel),
        (RUPLOAD_ERROR, lambda page: page.send(_start_reel(page).json()["upload_url"], b"x", 1, 2)),
        (
            VIDEO_START,
            lambda page: page.call_page("POST", "videos", {"upload_phase": "start", "file_size": 2000000}),
        ),
    ],
    ids=["photo", "photo_post", "feed", "flip", "is_published", "reel", "rupload", "video"],
)
def test_facebook_answers_like_its_examples(
    page: Facebook, example: str, ask: Callable[[Facebook], requests.Response]
) -> None:
    compare(parsed(example), ask(page).json())


def test_a_reels_status_is_told_as_in_the_example(page: Facebook) -> None:
    data = (page.sandbox.folder / "media" / "sample.mp4").read_bytes()
    example = parsed(REEL_STATUS)["status"]
    video = page.reel(data)
    within(example, page.status(video)["status"])
    page.finish(video)
    within(example, page.status(video)["status"])
    assert set(page.status(video)["status"]["publishing_phase"]) == set(example["publishing_phase"])
    page.sandbox.fault("facebook", "finalize", "fail-processing")
    failed = page.reel(data)
    page.finish(failed)
    status = page.status(failed)["status"]
    compare(example["processing_phase"], status["processing_phase"])
    assert status["video_status"] == "error"


def test_youtube_takes_the_request_of_its_guide_and_answers_like_its_examples(channel: YouTube) -> None:
    url = f"{channel.sandbox.base}/youtube/upload/youtube/v3/videos"
    query = "?uploadType=resumable&part=snippet,status&notifySubscribers=false"
    data = (channel.sandbox.folder / "media" / "sample.mp4").read_bytes()
    headers = {
        "Authorization": f"Bearer {channel.account.access_token}",
        "Content-Type": "application/json; charset=UTF-8",
        "X-Upload-Content-Length": str(len(data)),
        "X-Upload-Content-Type": "video/*",
    }
    answer = requests.post(url + query, data=YOUTUBE_REQUEST.encode(), headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    session = answer.headers["Location"]
    assert session.startswith(f"{url}?uploadType=resumable&part=snippet,status&")
    assert "&upload_id=" in session
    video = channel.put(session, data, 0, len(data)).json()
    compare(parsed(YOUTUBE_VIDEO), video)
    assert json.loads(YOUTUBE_REQUEST)["status"].items() <= video["status"].items()
    channel.sandbox.fault("youtube", "prepare", "quota-exhausted")
    compare(parsed(YOUTUBE_ERROR), channel.open(10).json())
    form = {"client_id": "i", "client_secret": "s", "grant_type": "refresh_token"}
    form["refresh_token"] = channel.account.refresh_token or ""
    compare(
        parsed(GOOGLE_TOKEN),
        requests.post(f"{channel.sandbox.base}/google-oauth/token", data=form, timeout=30).json(),
    )


def _refresh(pinner: Pinterest) -> requests.Response:
    form = {"grant_type": "refresh_token", "refresh_token": pinner.account.refresh_token or ""}
    url = f"{pinner.sandbox.base}/pinterest/v5/oauth/token"
    return requests.post(url, data=form, auth=("i", "s"), timeout=30)


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        (MEDIA, lambda pinner: pinner.call("POST", "media", {"media_type": "video"})),
        (
            with_values('{"media_id","media_type","status"}'),
            lambda pinner: pinner.call("GET", f"media/{pinner.register()['media_id']}"),
        ),
        (PINTEREST_TOKEN, _refresh),
        (BOARD_MISSING, lambda pinner: pinner.call("GET", "boards/1/pins")),
        (
            NOT_PERMITTED,
            lambda pinner: pinner.call(
                "GET", f"boards/{pinner.board}", token=pinner.sandbox.account("pinterest", "bob").access_token
            ),
        ),
    ],
    ids=["media", "media_status", "token", "missing", "forbidden"],
)
def test_pinterest_answers_like_its_examples(
    pinner: Pinterest, example: str, ask: Callable[[Pinterest], requests.Response]
) -> None:
    compare(parsed(example), ask(pinner).json())


def test_pinterest_takes_the_body_of_its_description(pinner: Pinterest) -> None:
    source = {"source_type": "image_url", "url": pinner.sandbox.media("sample-1.jpg")}
    body = json.loads(PIN) | {"board_id": pinner.board, "media_source": source}
    pin = pinner.call("POST", "pins", body).json()
    told = {name: pin[name] for name in ("board_id", "title", "description", "link", "alt_text")}
    assert told == {name: value for name, value in body.items() if name != "media_source"}


def _twice(company: LinkedIn) -> requests.Response:
    company.post("x")
    return company.post("x")


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        (
            IMAGE_START,
            lambda company: company.call(
                "POST",
                "images",
                {"initializeUploadRequest": {"owner": company.urn}},
                action="initializeUpload",
            ),
        ),
        (
            VIDEO_PARTS,
            lambda company: company.call(
                "POST",
                "videos",
                {
                    "initializeUploadRequest": {
                        "owner": company.urn,
                        "fileSizeBytes": 1055736,
                        "uploadCaptions": False,
                        "uploadThumbnail": False,
                    }
                },
                action="initializeUpload",
            ),
        ),
        (LINKEDIN_ERROR, lambda company: company.post("x", author="urn:li:person:stranger")),
        (DUPLICATE, _twice),
    ],
    ids=["image", "video", "error", "duplicate"],
)
def test_linkedin_answers_like_its_examples(
    company: LinkedIn, example: str, ask: Callable[[LinkedIn], requests.Response]
) -> None:
    compare(parsed(example), ask(company).json())


def test_linkedin_takes_the_body_of_its_page_and_tells_a_sunset_version(company: LinkedIn) -> None:
    data = (company.sandbox.folder / "media" / "sample.mp4").read_bytes()
    content = {"media": {"id": company.video(data), "title": "…"}}
    body = json.loads(POST) | {"author": company.urn, "content": content}
    urn = company.call("POST", "posts", body).headers["x-restli-id"]
    found = company.call("GET", f"posts/{quote(urn, safe='')}").json()
    assert body.items() <= found.items()
    company.version = "202401"
    compare(parsed(SUNSET), company.post("x").json())
