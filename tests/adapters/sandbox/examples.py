"""Responses and requests as the vendors' documentation prints them, and how to compare with them.

Copied on 2026-11-24. `…` stands for any text, `{…}` for any object, and `,…}` for further fields. Everything else is
required, with the same type of value, and further fields are not allowed.
"""

import json
import re
from typing import Any

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


def parse_example(example: str) -> Any:
    """Return the example as JSON; what it leaves out becomes a field named `…`."""
    whole = example.replace("{…}", '{"…":"…"}').replace(",…}", ',"…":"…"}')
    return json.loads(whole)


def fill_values(example: str) -> str:
    """Return the example with a text for each field that it prints without a value."""
    return re.sub(r'(?<=[{,])("\w+")(?=[,}])', r'\1:"…"', example)


def assert_same_shape(example: Any, response: Any, place: str = "response") -> None:
    """Fail unless *response* has the fields and types of *example*."""
    assert type(example) is type(response), f"{place}: {response!r} is not like {example!r}"
    if isinstance(example, dict):
        required = set(example) - {"…"}
        assert required <= set(response), f"{place} lacks {required - set(response)}"
        assert "…" in example or set(response) == required, f"{place} also has {set(response) - required}"
        for name in required:
            assert_same_shape(example[name], response[name], f"{place}.{name}")
    if isinstance(example, list) and example and response:
        assert_same_shape(example[0], response[0], f"{place}[0]")


def assert_known_fields(example: Any, response: Any, place: str = "response") -> None:
    """Fail if *response* has a field that *example* lacks; the example shows the fields of several states at once."""
    assert type(example) is type(response), f"{place}: {response!r} is not like {example!r}"
    if isinstance(example, dict):
        assert set(response) <= set(example), f"{place} also has {set(response) - set(example)}"
        for name, value in response.items():
            assert_known_fields(example[name], value, f"{place}.{name}")
