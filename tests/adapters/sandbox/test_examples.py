"""Every response has the shape of the example in the vendor's documentation; see `examples` for its notation."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.adapters.sandbox import examples
from tests.adapters.sandbox.clients import Business, Facebook, Instagram, LinkedIn, Pinterest, TikTok, connect
from tests.adapters.sandbox.examples import assert_known_fields, assert_same_shape, fill_values, parse_example
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM
from tests.adapters.sandbox.process import Sandbox
from tests.adapters.tiktok import examples as tiktok_examples


def _connect(sandbox: Sandbox, platform: str) -> Any:
    options = {"kind": "organization"} if platform == "linkedin" else {}
    return connect(sandbox, platform, **options)


def _upload_init(tiktok: TikTok) -> requests.Response:
    source = {"source": "FILE_UPLOAD", "video_size": 50000123, "chunk_size": 10000000, "total_chunk_count": 5}
    info = {"title": "caption #tag @user", "privacy_level": "SELF_ONLY", "disable_duet": False}
    info |= {"disable_comment": False, "disable_stitch": False, "video_cover_timestamp_ms": 1000}
    info |= {"brand_content_toggle": False, "brand_organic_toggle": False, "is_aigc": False}
    return tiktok.post("post/publish/video/init/", {"post_info": info, "source_info": source})


def _status(tiktok: TikTok, *names: str) -> requests.Response:
    return tiktok.post("post/publish/status/fetch/", {"publish_id": tiktok.photos(*names)})


def _refresh_tiktok(tiktok: TikTok, **change: str) -> requests.Response:
    return VENDORS_BY_PLATFORM["tiktok"].refresh(tiktok.sandbox, tiktok.account.refresh_token, **change)


def _refresh_business(business: Business) -> Any:
    body = {"client_id": "i", "client_secret": "s", "grant_type": "refresh_token"}
    body["refresh_token"] = business.account.refresh_token or ""
    return business.call("POST", "tt_user/oauth2/refresh_token/", body).json()


def _finished(instagram: Instagram) -> requests.Response:
    return instagram.call("GET", instagram.image(), fields="status_code,status")


def _resumable(instagram: Instagram) -> requests.Response:
    return instagram.create(media_type="REELS", upload_type="resumable", caption="r")


def _sent(instagram: Instagram, data: bytes, size: int) -> requests.Response:
    headers = {
        "Authorization": f"OAuth {instagram.account.access_token}",
        "offset": "0",
        "file_size": str(size),
    }
    return requests.post(_resumable(instagram).json()["uri"], data=data, headers=headers, timeout=30)


def _not_ready(instagram: Instagram) -> requests.Response:
    return instagram.publish(_resumable(instagram).json()["id"])


def _refresh_instagram(instagram: Instagram) -> requests.Response:
    query = {"grant_type": "ig_refresh_token", "access_token": instagram.account.access_token}
    return requests.get(f"{instagram.sandbox.base}/instagram/refresh_access_token", params=query, timeout=30)


def _start_reel(page: Facebook) -> requests.Response:
    return page.call_page("POST", "video_reels", {"upload_phase": "start"})


def _photo(page: Facebook, *, published: bool) -> requests.Response:
    return page.call_page(
        "POST", "photos", {"url": page.sandbox.media("sample-1.jpg"), "published": published}
    )


def _refresh_pinterest(pinner: Pinterest) -> requests.Response:
    return VENDORS_BY_PLATFORM["pinterest"].refresh(pinner.sandbox, pinner.account.refresh_token)


def _twice(company: LinkedIn) -> requests.Response:
    company.post("x")
    return company.post("x")


CASES: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "tiktok": {
        "creator_info": (
            tiktok_examples.CREATOR_INFO,
            lambda tiktok: tiktok.post("post/publish/creator_info/query/"),
        ),
        "upload_init": (examples.UPLOAD_INIT, _upload_init),
        "photo_init": (
            examples.PHOTO_INIT,
            lambda tiktok: tiktok.post("post/publish/content/init/", tiktok.photo_body()),
        ),
        "status": (examples.STATUS, _status),
        "status_failed": (examples.STATUS_FAILED, lambda tiktok: _status(tiktok, "wide.jpg")),
        "token": (fill_values(examples.TOKEN), _refresh_tiktok),
        "oauth_error": (examples.OAUTH_ERROR, lambda tiktok: _refresh_tiktok(tiktok, grant_type="none")),
    },
    "tiktok_business": {
        "token": (tiktok_examples.BUSINESS_TOKEN, _refresh_business),
        "settings": (
            tiktok_examples.BUSINESS_SETTINGS,
            lambda business: business.get("business/video/settings/"),
        ),
        "publish": (tiktok_examples.BUSINESS_VIDEO, lambda business: business.video()),
        "status": (
            tiktok_examples.BUSINESS_STATUS,
            lambda business: business.get(
                "business/publish/status/", publish_id=business.photo()["data"]["share_id"]
            ),
        ),
        "chart": (tiktok_examples.CHART, lambda business: business.get("discovery/cml/trending_list/")),
    },
    "instagram": {
        "container": (
            examples.CONTAINER,
            lambda graph: graph.create(image_url=graph.sandbox.media("sample-1.jpg")),
        ),
        "resumable": (examples.CONTAINER_UPLOAD, _resumable),
        "uploaded": (examples.UPLOADED, lambda graph: _sent(graph, b"x" * 10, 20)),
        "upload_failed": (examples.UPLOAD_FAILED, lambda graph: _sent(graph, b"x" * 10, 5)),
        "status": (examples.CONTAINER_STATUS, _finished),
        "published": (examples.PUBLISHED, lambda graph: graph.publish(graph.image())),
        "limit": (
            examples.LIMIT,
            lambda graph: graph.call(
                "GET", f"{graph.account.remote_id}/content_publishing_limit", fields="quota_usage,config"
            ),
        ),
        "error": (examples.GRAPH_ERROR, _not_ready),
        "token": (examples.LONG_TOKEN, _refresh_instagram),
    },
    "facebook": {
        "photo": ('{"id":"1"}', lambda page: _photo(page, published=False)),
        "photo_post": ('{"id":"1","post_id":"1_2"}', lambda page: _photo(page, published=True)),
        "feed": ('{"id":"{page}_{post}"}', lambda page: page.feed("x", published=False)),
        "publish": ('{"success":true}', lambda page: page.publish(page.create_unpublished("x"))),
        "is_published": (
            '{"is_published":false,"id":"1"}',
            lambda page: page.call("GET", page.create_unpublished("x"), fields="is_published"),
        ),
        "reel": (examples.REEL_START, _start_reel),
        "rupload": (
            examples.RUPLOAD_ERROR,
            lambda page: page.send(_start_reel(page).json()["upload_url"], b"x", 1, 2),
        ),
        "video": (
            examples.VIDEO_START,
            lambda page: page.call_page("POST", "videos", {"upload_phase": "start", "file_size": 2000000}),
        ),
    },
    "pinterest": {
        "media": (
            examples.MEDIA,
            lambda pinner: pinner.call("POST", "media", {"media_type": "video"}),
        ),
        "media_status": (
            fill_values('{"media_id","media_type","status"}'),
            lambda pinner: pinner.call("GET", f"media/{pinner.register()['media_id']}"),
        ),
        "token": (examples.PINTEREST_TOKEN, _refresh_pinterest),
        "missing": (examples.BOARD_MISSING, lambda pinner: pinner.call("GET", "boards/1/pins")),
        "forbidden": (
            examples.NOT_PERMITTED,
            lambda pinner: pinner.call(
                "GET", f"boards/{pinner.board}", token=pinner.sandbox.account("pinterest", "bob").access_token
            ),
        ),
    },
    "linkedin": {
        "image": (examples.IMAGE_START, lambda company: {"value": company.start_image()}),
        "video": (examples.VIDEO_PARTS, lambda company: {"value": company.start_video(1055736)}),
        "error": (
            examples.LINKEDIN_ERROR,
            lambda company: company.post("x", author="urn:li:person:stranger"),
        ),
        "duplicate": (examples.DUPLICATE, _twice),
    },
}


@pytest.mark.parametrize(
    ("platform", "example", "ask"),
    [
        pytest.param(platform, example, ask, id=f"{platform}-{name}")
        for platform, cases in CASES.items()
        for name, (example, ask) in cases.items()
    ],
)
def test_a_response_has_the_shape_of_the_vendors_example(
    quick: Sandbox, platform: str, example: str, ask: Callable[[Any], Any]
) -> None:
    response = ask(_connect(quick, platform))
    body = response.json() if isinstance(response, requests.Response) else response
    assert_same_shape(parse_example(example), body)


def test_oembed_answers_like_its_example(quick: Sandbox) -> None:
    query = {"url": "https://www.tiktok.com/@scout2015/video/6718335390845095173"}
    answer = requests.get(f"{quick.base}/tiktok-www/oembed", params=query, timeout=30).json()
    assert_same_shape(parse_example(examples.OEMBED), answer)
    pattern = ".*".join(re.escape(part) for part in examples.OEMBED_HTML.split("…"))
    loose = pattern.replace(r"\ ", r"\s*").replace(">", r">\s*").replace(r"\s*\s*", r"\s*")
    assert re.fullmatch(loose, answer["html"]), answer["html"]


def test_the_finished_container_says_the_vendors_sentence(quick: Sandbox) -> None:
    graph = _connect(quick, "instagram")
    assert _finished(graph).json()["status"] == json.loads(examples.CONTAINER_STATUS)["status"]


def test_a_reels_status_is_told_as_in_the_example(quick: Sandbox) -> None:
    page = _connect(quick, "facebook")
    data = (page.sandbox.folder / "media" / "sample.mp4").read_bytes()
    example = parse_example(examples.REEL_STATUS)["status"]
    video = page.reel(data)
    assert_known_fields(example, page.status(video)["status"])
    page.finish(video)
    assert_known_fields(example, page.status(video)["status"])
    assert set(page.status(video)["status"]["publishing_phase"]) == set(example["publishing_phase"])
    page.sandbox.fault("facebook", "finalize", "fail-processing")
    failed = page.reel(data)
    page.finish(failed)
    status = page.status(failed)["status"]
    assert_same_shape(example["processing_phase"], status["processing_phase"])
    assert status["video_status"] == "error"


def test_youtube_takes_the_request_of_its_guide_and_answers_like_its_examples(quick: Sandbox) -> None:
    channel = _connect(quick, "youtube")
    url = f"{channel.sandbox.base}/youtube/upload/youtube/v3/videos"
    query = "?uploadType=resumable&part=snippet,status&notifySubscribers=false"
    data = (channel.sandbox.folder / "media" / "sample.mp4").read_bytes()
    headers = {
        "Authorization": f"Bearer {channel.account.access_token}",
        "Content-Type": "application/json; charset=UTF-8",
        "X-Upload-Content-Length": str(len(data)),
        "X-Upload-Content-Type": "video/*",
    }
    answer = requests.post(url + query, data=examples.YOUTUBE_REQUEST.encode(), headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    session = answer.headers["Location"]
    assert session.startswith(f"{url}?uploadType=resumable&part=snippet,status&")
    assert "&upload_id=" in session
    video = channel.put(session, data, 0, len(data)).json()
    assert_same_shape(parse_example(examples.YOUTUBE_VIDEO), video)
    assert json.loads(examples.YOUTUBE_REQUEST)["status"].items() <= video["status"].items()
    channel.sandbox.fault("youtube", "prepare", "quota-exhausted")
    assert_same_shape(parse_example(examples.YOUTUBE_ERROR), channel.open(10).json())
    fresh = VENDORS_BY_PLATFORM["youtube"].refresh(quick, channel.account.refresh_token)
    assert_same_shape(parse_example(examples.GOOGLE_TOKEN), fresh.json())


def test_pinterest_takes_the_body_of_its_description(quick: Sandbox) -> None:
    pinner = _connect(quick, "pinterest")
    source = {"source_type": "image_url", "url": pinner.sandbox.media("sample-1.jpg")}
    body = json.loads(examples.PIN) | {"board_id": pinner.board, "media_source": source}
    pin = pinner.call("POST", "pins", body).json()
    fields = {name: pin[name] for name in ("board_id", "title", "description", "link", "alt_text")}
    assert fields == {name: value for name, value in body.items() if name != "media_source"}


def test_linkedin_takes_the_body_of_its_page_and_tells_a_sunset_version(quick: Sandbox) -> None:
    company = _connect(quick, "linkedin")
    data = (company.sandbox.folder / "media" / "sample.mp4").read_bytes()
    content = {"media": {"id": company.video(data), "title": "…"}}
    body = json.loads(examples.POST) | {"author": company.urn, "content": content}
    urn = company.call("POST", "posts", body).headers["x-restli-id"]
    found = company.call("GET", f"posts/{quote(urn, safe='')}").json()
    assert body.items() <= found.items()
    company.version = "202401"
    assert_same_shape(parse_example(examples.SUNSET), company.post("x").json())
