"""Every answer has the shape of the example that the vendor's documentation prints.

The examples are copied as they stood on 2026-11-24. `…` stands for any text, `{…}` for any object, and `,…}` for
further fields; everything else must be there, with the same kind of value, and nothing more.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Business, Instagram, TikTok
from tests.adapters.sandbox.process import Sandbox

CREATOR_INFO = """\
{"data":{"creator_avatar_url":"https://…","creator_username":"tiktok","creator_nickname":"TikTok Official",
 "privacy_level_options":["PUBLIC_TO_EVERYONE","MUTUAL_FOLLOW_FRIENDS","SELF_ONLY"],
 "comment_disabled":false,"duet_disabled":false,"stitch_disabled":true,"max_video_post_duration_sec":300},
 "error":{"code":"ok","message":"","log_id":"202210112248442CB9319E1FB30C1073F3"}}"""
UPLOAD_INIT = """\
{"data":{"publish_id":"v_pub_file~v2-1.123456789",\
"upload_url":"https://open-upload.tiktokapis.com/video/?upload_id=67890&upload_token=Xza123"},"error":{…}}"""
PHOTO_INIT = '{"data":{"publish_id":"p_pub_url~v2.123456789"},"error":{…}}'
STATUS = (
    '{"data":{"status":"PUBLISH_COMPLETE","fail_reason":"","publicaly_available_post_id":[7212345678901234567],'
    '"uploaded_bytes":50000123,"downloaded_bytes":0},"error":{"code":"ok",…}}'
)
STATUS_FAILED = (
    '{"data":{"status":"FAILED","fail_reason":"picture_size_check_failed","publicaly_available_post_id":[],'
    '"uploaded_bytes":10000},"error":{"code":"ok",…}}'
)
OAUTH_ERROR = '{"error":"invalid_request","error_description":"…","log_id":"…"}'
TOKEN = (
    '{"access_token","expires_in":86400,"open_id","refresh_expires_in":31536000,"refresh_token","scope",'
    '"token_type":"Bearer"}'
)
BUSINESS_TOKEN = """\
{"code":0,"message":"OK","request_id":"2026…","data":{"access_token":"act.…","token_type":"Bearer","expires_in":86400,
 "refresh_token":"rft.…","refresh_token_expires_in":31536000,"open_id":"-000eHWs…",\
"scope":"user.info.basic,video.list,video.publish"}}"""
BUSINESS_SETTINGS = """\
{"code":0,"message":"OK","request_id":"…","data":{"privacy_level_options":["PUBLIC_TO_EVERYONE",\
"MUTUAL_FOLLOW_FRIENDS","SELF_ONLY"],
 "comment_disabled":false,"duet_disabled":false,"stitch_disabled":true,"max_video_post_duration_sec":600}}"""
BUSINESS_PUBLISH = (
    '{"code":0,"message":"Ok","request_id":"…","data":{"share_id":"v_pub_url~v1.2345123456789123456"}}'
)
BUSINESS_STATUS = (
    '{"code":0,"message":"OK","request_id":"…","data":{"status":"PUBLISH_COMPLETE",'
    '"post_ids":["7212345678901234567"]}}'
)
CHART = """\
{"code":0,"message":"OK","request_id":"…","data":{"list":[{"commercial_music_id":"7…","commercial_music_name":"Track",\
"artist":"Artist",
 "duration":0,"thumbnail_url":"https://…","preview_url":"https://…","genres":["Folk"],"rank_position":"4",
 "trending_history":[{"date":"2026-10-06","rank_position_daily":null}],
 "full_duration_song_clip":{},"trending_song_clip":{"song_clip_id":"7221171716369631233","duration":30,\
"preview_url":"https://…"}}]}}"""
OEMBED = """\
{"version":"1.0","type":"video","title":"caption #tag","author_url":"https://www.tiktok.com/@scout2015",\
"author_name":"Scout & Suki",
 "author_unique_id":"scout2015","embed_product_id":"6718335390845095173","embed_type":"video","width":"100%",\
"height":"100%",
 "thumbnail_url":"https://…","provider_name":"TikTok","provider_url":"https://www.tiktok.com",
 "html":"…"}"""
OEMBED_HTML = (
    '<blockquote class="tiktok-embed" cite="https://www.tiktok.com/@scout2015/video/6718335390845095173" '
    'data-video-id="6718335390845095173" …> <section> … <a target="_blank" title="♬ original sound - tiff" '
    'href="https://www.tiktok.com/music/original-sound-6689804660171082501?refer=embed">♬ original sound - tiff</a>'
    ' </section> </blockquote> <script async src="https://www.tiktok.com/embed.js"></script>'
)
CONTAINER = '{"id":"17889455560051444"}'
CONTAINER_UPLOAD = '{"id":"<container>","uri":"https://rupload.facebook.com/ig-api-upload/v25.0/<container>"}'
UPLOADED = '{"success":true,"message":"Upload successful."}'
UPLOAD_FAILED = '{"debug_info":{"retriable":false,"type":"ProcessingFailedError","message":"…"}}'
CONTAINER_STATUS = (
    '{"status_code":"FINISHED","status":"Finished: Media has been uploaded and it is ready to be published.",'
    '"id":"…"}'
)
PUBLISHED = '{"id":"17920238422030506"}'
LIMIT = '{"data":[{"quota_usage":2,"config":{"quota_total":50,"quota_duration":86400}}]}'
GRAPH_ERROR = (
    '{"error":{"message":"…","type":"OAuthException","code":9007,"error_subcode":2207027,"is_transient":false,'
    '"error_user_title":"…","error_user_msg":"…","fbtrace_id":"…"}}'
)
LONG_TOKEN = '{"access_token":"…","token_type":"bearer","expires_in":5183944}'


def parsed(example: str) -> Any:
    """The example as JSON; what it leaves out becomes a field named `…`."""
    whole = example.replace("{…}", '{"…":"…"}').replace(",…}", ',"…":"…"}')
    return json.loads(whole)


def with_values(example: str) -> str:
    """The example with a text for each field of which it prints only the name."""
    return re.sub(r'(?<=[{,])("\w+")(?=[,}])', r'\1:"…"', example)


def compare(example: Any, answer: Any, place: str = "answer") -> None:
    assert type(example) is type(answer), f"{place}: {answer!r} is not like {example!r}"
    if isinstance(example, dict):
        wanted = set(example) - {"…"}
        assert wanted <= set(answer), f"{place} lacks {wanted - set(answer)}"
        assert "…" in example or set(answer) == wanted, f"{place} has {set(answer) - wanted} too many"
        for name in wanted:
            compare(example[name], answer[name], f"{place}.{name}")
    if isinstance(example, list) and example and answer:
        compare(example[0], answer[0], f"{place}[0]")


@pytest.fixture
def creator(quick: Sandbox) -> TikTok:
    return TikTok(sandbox=quick, account=quick.account("tiktok"))


@pytest.fixture
def owned(quick: Sandbox) -> Business:
    return Business(sandbox=quick, account=quick.account("tiktok_business"))


@pytest.fixture
def graph(quick: Sandbox) -> Instagram:
    return Instagram(sandbox=quick, account=quick.account("instagram"))


def _upload_init(tiktok: TikTok) -> requests.Response:
    source = {"source": "FILE_UPLOAD", "video_size": 50000123, "chunk_size": 10000000, "total_chunk_count": 5}
    info = {"title": "caption #tag @user", "privacy_level": "SELF_ONLY", "disable_duet": False}
    info |= {"disable_comment": False, "disable_stitch": False, "video_cover_timestamp_ms": 1000}
    info |= {"brand_content_toggle": False, "brand_organic_toggle": False, "is_aigc": False}
    return tiktok.post("post/publish/video/init/", {"post_info": info, "source_info": source})


def _status(tiktok: TikTok, *names: str) -> requests.Response:
    return tiktok.post("post/publish/status/fetch/", {"publish_id": tiktok.photos(*names)})


def _token(tiktok: TikTok, **change: str) -> requests.Response:
    form = {"client_key": "k", "client_secret": "s", "grant_type": "refresh_token"}
    form |= {"refresh_token": tiktok.account.refresh_token or "", **change}
    return requests.post(f"{tiktok.sandbox.base}/tiktok/v2/oauth/token/", data=form, timeout=30)


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        (CREATOR_INFO, lambda tiktok: tiktok.post("post/publish/creator_info/query/")),
        (UPLOAD_INIT, _upload_init),
        (PHOTO_INIT, lambda tiktok: tiktok.post("post/publish/content/init/", tiktok.photo_body())),
        (STATUS, _status),
        (STATUS_FAILED, lambda tiktok: _status(tiktok, "wide.jpg")),
        (with_values(TOKEN), _token),
        (OAUTH_ERROR, lambda tiktok: _token(tiktok, grant_type="none")),
    ],
    ids=["creator_info", "upload_init", "photo_init", "status", "status_failed", "token", "oauth_error"],
)
def test_tiktok_answers_like_its_examples(
    creator: TikTok, example: str, ask: Callable[[TikTok], requests.Response]
) -> None:
    compare(parsed(example), ask(creator).json())


def _business_token(business: Business) -> Any:
    body = {"client_id": "i", "client_secret": "s", "grant_type": "refresh_token"}
    body["refresh_token"] = business.account.refresh_token or ""
    return business.call("POST", "tt_user/oauth2/refresh_token/", body).json()


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        (BUSINESS_TOKEN, _business_token),
        (BUSINESS_SETTINGS, lambda business: business.get("business/video/settings/")),
        (BUSINESS_PUBLISH, lambda business: business.video()),
        (
            BUSINESS_STATUS,
            lambda business: business.get(
                "business/publish/status/", publish_id=business.photo()["data"]["share_id"]
            ),
        ),
        (CHART, lambda business: business.get("discovery/cml/trending_list/")),
    ],
    ids=["token", "settings", "publish", "status", "chart"],
)
def test_tiktok_business_answers_like_its_examples(
    owned: Business, example: str, ask: Callable[[Business], Any]
) -> None:
    compare(parsed(example), ask(owned))


def test_oembed_answers_like_its_example(quick: Sandbox) -> None:
    query = {"url": "https://www.tiktok.com/@scout2015/video/6718335390845095173"}
    answer = requests.get(f"{quick.base}/tiktok-www/oembed", params=query, timeout=30).json()
    compare(parsed(OEMBED), answer)
    pattern = ".*".join(re.escape(part) for part in OEMBED_HTML.split("…"))
    loose = pattern.replace(r"\ ", r"\s*").replace(">", r">\s*").replace(r"\s*\s*", r"\s*")
    assert re.fullmatch(loose, answer["html"]), answer["html"]


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


def _refresh(instagram: Instagram) -> requests.Response:
    query = {"grant_type": "ig_refresh_token", "access_token": instagram.account.access_token}
    return requests.get(f"{instagram.sandbox.base}/instagram/refresh_access_token", params=query, timeout=30)


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        (CONTAINER, lambda graph: graph.create(image_url=graph.sandbox.media("sample-1.jpg"))),
        (CONTAINER_UPLOAD, _resumable),
        (UPLOADED, lambda graph: _sent(graph, b"x" * 10, 20)),
        (UPLOAD_FAILED, lambda graph: _sent(graph, b"x" * 10, 5)),
        (CONTAINER_STATUS, _finished),
        (PUBLISHED, lambda graph: graph.publish(graph.image())),
        (
            LIMIT,
            lambda graph: graph.call(
                "GET", f"{graph.account.remote_id}/content_publishing_limit", fields="quota_usage,config"
            ),
        ),
        (GRAPH_ERROR, _not_ready),
        (LONG_TOKEN, _refresh),
    ],
    ids=[
        "container",
        "resumable",
        "uploaded",
        "upload_failed",
        "status",
        "published",
        "limit",
        "error",
        "token",
    ],
)
def test_instagram_answers_like_its_examples(
    graph: Instagram, example: str, ask: Callable[[Instagram], requests.Response]
) -> None:
    compare(parsed(example), ask(graph).json())


def test_the_finished_container_says_the_vendors_sentence(graph: Instagram) -> None:
    assert _finished(graph).json()["status"] == json.loads(CONTAINER_STATUS)["status"]
