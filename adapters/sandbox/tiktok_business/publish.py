"""The publish calls of the TikTok Business stand-in: each of them is the visible step."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.rate_windows import DAY, MINUTE
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business import share
from adapters.sandbox.tiktok_business.charts import is_attachable
from adapters.sandbox.tiktok_business.dialect import (
    DIALECT,
    PLATFORM,
    RATE_LIMIT,
    SOMETHING_WRONG,
    error_response,
    holder,
    ok,
    refuse,
)
from adapters.sandbox.tiktok_business.property import is_verified
from adapters.sandbox.tiktok_media import utf16_units

_POSTS_A_MINUTE = 6
_POSTS_A_DAY = 15
_TOO_MANY = "spam_risk_too_many_posts: the account has reached its daily limit."
_TITLE_UNITS = 90
_VIDEO_CAPTION_UNITS = 2200
_PHOTO_CAPTION_UNITS = 4000
_MENTIONS = 30
_PHOTOS_MOST = 35
_VOLUME_MOST = 100
_VOLUMES = ("music_sound_volume", "video_original_sound_volume")
_FLAGS = (
    "is_brand_organic",
    "is_branded_content",
    "disable_comment",
    "disable_duet",
    "disable_stitch",
    "is_ai_generated",
    "is_ads_only",
    "auto_add_music",
    "upload_to_draft",
    "is_draft",
)
_SETTINGS = {
    "disable_comment": "comment_disabled",
    "disable_duet": "duet_disabled",
    "disable_stitch": "stitch_disabled",
}


async def video(call: Call) -> web.Response:
    """POST /business/video/publish/."""
    body = call.json()
    info = _info(body)
    is_draft = info.get("upload_to_draft") is True
    account = holder(call, body.get("business_id"), "video.upload" if is_draft else "video.publish")
    url = _owned(call, "video_url", body.get("video_url"))
    thumbnail = body.get("custom_thumbnail_url")
    if thumbnail is not None:
        thumbnail = _owned(call, "custom_thumbnail_url", thumbnail)
    # A video draft keeps no field at all, the caption included.
    kept = {} if is_draft else _checked(account, info, _VIDEO_CAPTION_UNITS)
    if "privacy_level" in info:
        raise refuse("post_info.privacy_level: Unknown field.")
    silent = _check_music(kept, with_volumes=True)
    _count(call, account)
    facts: Record = {
        "sort": "video",
        "urls": [url],
        "thumbnail_url": thumbnail,
        "info": kept,
        "silent": silent,
    }
    facts |= {"draft": is_draft, "privacy": None if is_draft else share.options(account)[0]}
    return ok({"share_id": (await share.start(call, account, facts))["key"]})


async def photo(call: Call) -> web.Response:
    """POST /business/photo/publish/."""
    body = call.json()
    info = _info(body)
    is_draft = info.get("is_draft") is True
    account = holder(call, body.get("business_id"), "video.upload" if is_draft else "video.publish")
    images = body.get("photo_images")
    if not isinstance(images, list) or not 1 <= len(images) <= _PHOTOS_MOST:
        raise refuse(f"photo_images: must be a list of 1 to {_PHOTOS_MOST} URLs.")
    urls = [_owned(call, "photo_images", url) for url in images]
    cover = body.get("photo_cover_index", 0)
    if not isinstance(cover, int) or not 0 <= cover < len(urls):
        raise refuse("photo_cover_index: out of range.")
    _text(info, "title", _TITLE_UNITS)
    kept = _checked(account, info, _PHOTO_CAPTION_UNITS)
    privacy = None if is_draft else _privacy(account, info)
    if is_draft:
        kept = {name: kept[name] for name in ("title", "caption") if name in kept}
    _check_music(kept, with_volumes=False)
    _count(call, account)
    facts: Record = {"sort": "photos", "urls": urls, "info": kept, "draft": is_draft, "privacy": privacy}
    facts |= {"thumbnail_url": None, "silent": False}
    return ok({"share_id": (await share.start(call, account, facts))["key"]})


def _info(body: Record) -> Record:
    info = body.get("post_info")
    if not isinstance(info, dict):
        raise refuse("post_info: Missing data for required field.")
    return info


def _owned(call: Call, name: str, url: object) -> str:
    if not isinstance(url, str) or not url:
        raise refuse(f"{name}: Missing data for required field.")
    if not is_verified(call.context, url):
        raise refuse(f"{name}: url_ownership_unverified, the URL is not under a verified URL property.")
    return url


def _text(info: Record, name: str, most: int) -> None:
    value = info.get(name, "")
    if not isinstance(value, str) or utf16_units(value) > most:
        raise refuse(f"post_info.{name}: must be a text of at most {most} UTF-16 units.")


def _checked(account: Record, info: Record, caption_units: int) -> Record:
    _text(info, "caption", caption_units)
    if info.get("caption", "").count("@") > _MENTIONS:
        raise refuse(f"post_info.caption: more than {_MENTIONS} mentions.")
    for name in _FLAGS:
        if name in info and not isinstance(info[name], bool):
            raise refuse(f"post_info.{name}: Not a valid boolean.")
    for name, setting in _SETTINGS.items():
        if account["options"].get(setting) and info.get(name) is False:
            raise refuse(f"post_info.{name}: the account has {setting}, only true may be sent.")
    offset = info.get("thumbnail_offset", 0)
    if not isinstance(offset, int) or offset < 0:
        raise refuse("post_info.thumbnail_offset: Not a valid integer.")
    return dict(info)


def _privacy(account: Record, info: Record) -> str:
    level = info.get("privacy_level")
    if level not in share.options(account):
        raise refuse(f"post_info.privacy_level: must be one of {', '.join(share.options(account))}.")
    return str(level)


def _check_music(info: Record, *, with_volumes: bool) -> bool:
    """Refuse a sound that is no clip; returns whether the video will be silent."""
    music = info.get("music_sound_info")
    if music is None:
        return False
    if not isinstance(music, dict):
        raise refuse("post_info.music_sound_info: Not an object.")
    if not is_attachable(music.get("music_sound_id")):
        raise Refused(error_response(SOMETHING_WRONG, "Something is wrong"))
    if not with_volumes:
        info["music_sound_info"] = {"music_sound_id": music["music_sound_id"]}
        return False
    volumes = {name: music.get(name, 0) for name in _VOLUMES}  # the API's default is 0: no sound at all
    for name, value in volumes.items():
        if not isinstance(value, int) or not 0 <= value <= _VOLUME_MOST:
            raise refuse(f"post_info.music_sound_info.{name}: must be from 0 to {_VOLUME_MOST}.")
    info["music_sound_info"] = music | volumes
    return not any(volumes.values())


def _count(call: Call, account: Record) -> None:
    windows, name = call.context.rate_windows, f"business.posts:{account['remote_id']}"
    if windows.is_full(name, _POSTS_A_DAY, DAY):
        raise refuse(_TOO_MANY)
    if not windows.take(f"{name}:minute", _POSTS_A_MINUTE, MINUTE):
        raise refuse("Too many requests. Please retry later.", RATE_LIMIT)
    windows.add(name, DAY)


def _exhausted(_: Call) -> web.Response:
    return error_response(40002, _TOO_MANY)


VIDEO = Endpoint(
    platform=PLATFORM, step="finalize", handle=video, dialect=DIALECT, quota_exhausted=_exhausted
)
PHOTO = Endpoint(
    platform=PLATFORM, step="finalize", handle=photo, dialect=DIALECT, quota_exhausted=_exhausted
)
