"""Example responses from TikTok's own pages (read 2026-11-24); only values that the pages omit as "…" are filled in."""

from __future__ import annotations

OK = '"error":{"code":"ok","message":"","log_id":"202210112248442CB9319E1FB30C1073F3"}'

CREATOR_INFO = """{"data":{"creator_avatar_url":"https://…","creator_username":"tiktok","creator_nickname":"TikTok Official",
 "privacy_level_options":["PUBLIC_TO_EVERYONE","MUTUAL_FOLLOW_FRIENDS","SELF_ONLY"],
 "comment_disabled":false,"duet_disabled":false,"stitch_disabled":true,"max_video_post_duration_sec":300},
 "error":{"code":"ok","message":"","log_id":"202210112248442CB9319E1FB30C1073F3"}}"""  # noqa: E501

PHOTO_INIT = f'{{"data":{{"publish_id":"p_pub_url~v2.123456789"}},{OK}}}'

STATUS_COMPLETE = (
    '{"data":{"status":"PUBLISH_COMPLETE","fail_reason":"","publicaly_available_post_id":[7212345678901234567],'
    f'"uploaded_bytes":50000123,"downloaded_bytes":0}},{OK}}}'
)
STATUS_FAILED = (
    '{"data":{"status":"FAILED","fail_reason":"picture_size_check_failed","publicaly_available_post_id":[],'
    f'"uploaded_bytes":10000}},{OK}}}'
)

TOKEN = (
    '{"access_token":"act.new","expires_in":86400,"open_id":"723f24d7","refresh_expires_in":31536000,'
    '"refresh_token":"rft.new","scope":"user.info.basic,video.publish","token_type":"Bearer"}'
)

BUSINESS_SETTINGS = """{"code":0,"message":"OK","request_id":"…","data":{"privacy_level_options":["PUBLIC_TO_EVERYONE","MUTUAL_FOLLOW_FRIENDS","SELF_ONLY"],
 "comment_disabled":false,"duet_disabled":false,"stitch_disabled":true,"max_video_post_duration_sec":600}}"""  # noqa: E501
BUSINESS_VIDEO = (
    """{"code":0,"message":"Ok","request_id":"…","data":{"share_id":"v_pub_url~v1.2345123456789123456"}}"""
)
BUSINESS_PHOTO = BUSINESS_VIDEO.replace("v_pub_url", "p_pub_url")
BUSINESS_STATUS = """{"code":0,"message":"OK","request_id":"…","data":{"status":"PUBLISH_COMPLETE","post_ids":["7212345678901234567"]}}"""  # noqa: E501
BUSINESS_TOKEN = """{"code":0,"message":"OK","request_id":"2026…","data":{"access_token":"act.…","token_type":"Bearer","expires_in":86400,
 "refresh_token":"rft.…","refresh_token_expires_in":31536000,"open_id":"-000eHWs…","scope":"user.info.basic,video.list,video.publish"}}"""  # noqa: E501
CHART = """{"code":0,"message":"OK","request_id":"…","data":{"list":[{"commercial_music_id":"7…","commercial_music_name":"Track","artist":"Artist",
 "duration":0,"thumbnail_url":"https://…","preview_url":"https://…","genres":["Folk"],"rank_position":"4",
 "trending_history":[{"date":"2026-10-06","rank_position_daily":null}],
 "full_duration_song_clip":{},"trending_song_clip":{"song_clip_id":"7221171716369631233","duration":30,"preview_url":"https://…"}}]}}"""  # noqa: E501
EMPTY_CHART = '{"code":0,"message":"OK","request_id":"…","data":{"list":null}}'
OEMBED = r"""{"version":"1.0","type":"video","title":"caption #tag","author_url":"https://www.tiktok.com/@scout2015","author_name":"Scout & Suki",
 "author_unique_id":"scout2015","embed_product_id":"6718335390845095173","embed_type":"video","width":"100%","height":"100%",
 "thumbnail_url":"https://…","provider_name":"TikTok","provider_url":"https://www.tiktok.com",
 "html":"<blockquote class=\"tiktok-embed\" cite=\"https://www.tiktok.com/@scout2015/video/6718335390845095173\" data-video-id=\"6718335390845095173\" …><section> … <a target=\"_blank\" title=\"♬ original sound - tiff\" href=\"https://www.tiktok.com/music/original-sound-6689804660171082501?refer=embed\">♬ original sound - tiff</a> </section></blockquote> <script async src=\"https://www.tiktok.com/embed.js\"></script>"}"""  # noqa: E501


def error(code: str) -> str:
    """Return a v2 error response."""
    return f'{{"data":{{}},"error":{{"code":"{code}","message":"…","log_id":"2022"}}}}'


def status(state: str, uploaded: int | None = None, reason: str = "") -> str:
    """Return a v2 status response without post ids."""
    stored = "" if uploaded is None else f',"uploaded_bytes":{uploaded}'
    return f'{{"data":{{"status":"{state}","fail_reason":"{reason}","publicaly_available_post_id":[]{stored}}},{OK}}}'


def business_error(code: int, message: str = "…") -> str:
    """Return a Business error response."""
    return f'{{"code":{code},"message":"{message}","request_id":"2026","data":{{}}}}'


def business_status(state: str, reason: str = "") -> str:
    """Return a Business status response without post ids."""
    return (
        f'{{"code":0,"message":"OK","request_id":"2026","data":{{"status":"{state}","reason":"{reason}"}}}}'
    )
