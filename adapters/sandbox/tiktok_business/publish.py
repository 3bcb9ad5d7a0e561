"""The publish calls of TikTok Business, each the visible step, and the task behind a share_id.

States: PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED.
"""

from aiohttp import web

from adapters.sandbox import tiktok_shared
from adapters.sandbox.clock import DAY, MINUTE
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Outcome, Task
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business import api
from adapters.sandbox.tiktok_business.music import is_attachable
from adapters.sandbox.tiktok_business.property import is_verified
from adapters.sandbox.tiktok_shared import count_utf16_units, list_privacy_levels

_POSTS_PER_MINUTE = 6
_POSTS_PER_DAY = 15
_TOO_MANY = "spam_risk_too_many_posts: the account has reached its daily limit."
_TITLE_UNITS = 90
_VIDEO_CAPTION_UNITS = 2200
_PHOTO_CAPTION_UNITS = 4000
_MAX_MENTIONS = 30
_MAX_PHOTOS = 35
_MAX_VOLUME = 100
_VOLUMES = ("music_sound_volume", "video_original_sound_volume")
_SETTINGS = {
    "disable_comment": "comment_disabled",
    "disable_duet": "duet_disabled",
    "disable_stitch": "stitch_disabled",
}
KIND = "tiktok_business.share"
_MAX_BYTES = 1 << 30


async def publish_video(call: Call) -> web.Response:
    """POST /business/video/publish/."""
    body = call.json()
    info = _read_post_info(body)
    is_draft = info.get("upload_to_draft") is True
    account = api.authenticate_owner(
        call, body.get("business_id"), "video.upload" if is_draft else "video.publish"
    )
    url = _check_url(call, "video_url", body.get("video_url"))
    thumbnail = body.get("custom_thumbnail_url")
    if thumbnail is not None:
        thumbnail = _check_url(call, "custom_thumbnail_url", thumbnail)
    # A video draft drops every field, the caption included.
    fields = {} if is_draft else _check_post_info(account, info, _VIDEO_CAPTION_UNITS)
    if "privacy_level" in info:
        raise api.refuse("post_info.privacy_level: Unknown field.")
    silent = _check_music(fields, with_volumes=True)
    _count_post(call, account)
    request: Record = {
        "sort": "video",
        "urls": [url],
        "thumbnail_url": thumbnail,
        "info": fields,
        "silent": silent,
    }
    request |= {"draft": is_draft, "privacy": None if is_draft else list_privacy_levels(account)[0]}
    return api.ok({"share_id": (await _start(call, account, request))["key"]})


async def publish_photo(call: Call) -> web.Response:
    """POST /business/photo/publish/."""
    body = call.json()
    info = _read_post_info(body)
    is_draft = info.get("is_draft") is True
    account = api.authenticate_owner(
        call, body.get("business_id"), "video.upload" if is_draft else "video.publish"
    )
    images = body.get("photo_images")
    if not isinstance(images, list) or not 1 <= len(images) <= _MAX_PHOTOS:
        raise api.refuse(f"photo_images: must be a list of 1 to {_MAX_PHOTOS} URLs.")
    urls = [_check_url(call, "photo_images", url) for url in images]
    cover = body.get("photo_cover_index", 0)
    if not isinstance(cover, int) or not 0 <= cover < len(urls):
        raise api.refuse("photo_cover_index: out of range.")
    _check_text(info, "title", _TITLE_UNITS)
    fields = _check_post_info(account, info, _PHOTO_CAPTION_UNITS)
    privacy = None if is_draft else _read_privacy(account, info)
    if is_draft:
        fields = {name: fields[name] for name in ("title", "caption") if name in fields}
    _check_music(fields, with_volumes=False)
    _count_post(call, account)
    request: Record = {"sort": "photos", "urls": urls, "info": fields, "draft": is_draft, "privacy": privacy}
    request |= {"thumbnail_url": None, "silent": False}
    return api.ok({"share_id": (await _start(call, account, request))["key"]})


def _read_post_info(body: Record) -> Record:
    info = body.get("post_info")
    if not isinstance(info, dict):
        raise api.refuse("post_info: Missing data for required field.")
    return info


def _check_url(call: Call, name: str, url: object) -> str:
    if not isinstance(url, str) or not url:
        raise api.refuse(f"{name}: Missing data for required field.")
    if not is_verified(call.context, url):
        raise api.refuse(f"{name}: url_ownership_unverified, the URL is not under a verified URL property.")
    return url


def _check_text(info: Record, name: str, max_units: int) -> None:
    value = info.get(name, "")
    if not isinstance(value, str) or count_utf16_units(value) > max_units:
        raise api.refuse(f"post_info.{name}: must be a text of at most {max_units} UTF-16 units.")


def _check_post_info(account: Record, info: Record, caption_units: int) -> Record:
    _check_text(info, "caption", caption_units)
    if info.get("caption", "").count("@") > _MAX_MENTIONS:
        raise api.refuse(f"post_info.caption: more than {_MAX_MENTIONS} mentions.")
    for name in api.TABLE["flags"]:
        if name in info and not isinstance(info[name], bool):
            raise api.refuse(f"post_info.{name}: Not a valid boolean.")
    for name, setting in _SETTINGS.items():
        if account["options"].get(setting) and info.get(name) is False:
            raise api.refuse(f"post_info.{name}: the account has {setting}, only true may be sent.")
    offset = info.get("thumbnail_offset", 0)
    if not isinstance(offset, int) or offset < 0:
        raise api.refuse("post_info.thumbnail_offset: Not a valid integer.")
    return dict(info)


def _read_privacy(account: Record, info: Record) -> str:
    level = info.get("privacy_level")
    if level not in list_privacy_levels(account):
        raise api.refuse(
            f"post_info.privacy_level: must be one of {', '.join(list_privacy_levels(account))}."
        )
    return str(level)


def _check_music(info: Record, *, with_volumes: bool) -> bool:
    """Refuse a sound that is no clip; return whether the video is silent."""
    music = info.get("music_sound_info")
    if music is None:
        return False
    if not isinstance(music, dict):
        raise api.refuse("post_info.music_sound_info: Not an object.")
    if not is_attachable(music.get("music_sound_id")):
        raise Refused(api.error_response(api.SOMETHING_WRONG, "Something is wrong"))
    if not with_volumes:
        info["music_sound_info"] = {"music_sound_id": music["music_sound_id"]}
        return False
    volumes = {name: music.get(name, 0) for name in _VOLUMES}  # the API's default is 0: no sound
    for name, value in volumes.items():
        if not isinstance(value, int) or not 0 <= value <= _MAX_VOLUME:
            raise api.refuse(f"post_info.music_sound_info.{name}: must be from 0 to {_MAX_VOLUME}.")
    info["music_sound_info"] = music | volumes
    return not any(volumes.values())


def _count_post(call: Call, account: Record) -> None:
    windows, name = call.context.rate_windows, f"business.posts:{account['remote_id']}"
    if windows.is_full(name, _POSTS_PER_DAY, DAY):
        raise api.refuse(_TOO_MANY)
    if not windows.take(f"{name}:minute", _POSTS_PER_MINUTE, MINUTE):
        raise api.refuse("Too many requests. Please retry later.", api.RATE_LIMIT)
    windows.add(name, DAY)


def refuse_quota(_: Call) -> web.Response:
    """Return the error of an exhausted daily limit."""
    return api.error_response(api.BAD_PARAMETER, _TOO_MANY)


async def _start(call: Call, account: Record, fields: Record) -> Record:
    """Create the share and start processing: the visible step."""
    context = call.context
    prefix = "p_pub_url~v1" if fields["sort"] == "photos" else "v_pub_url~v1"
    record: Record = {
        "key": f"{prefix}.{context.new_id()}",
        "account": account["remote_id"],
        "reason": "",
        "polls": 0,
    }
    record |= {
        "state": "PROCESSING_DOWNLOAD",
        "created": context.clock.now(),
        **fields,
        **call.take_processing_faults(),
    }
    context.store.put(KIND, record["key"], record)
    await context.processing.start(KIND, record)
    return record


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    account = context.accounts.find(api.PLATFORM, record["account"])
    if account is None:
        return Outcome(error="auth_removed")
    if record["sort"] == "photos":
        return await tiktok_shared.check_images(context, api.PLATFORM, record["urls"])
    check = await tiktok_shared.check_video(
        context,
        api.PLATFORM,
        record["urls"][0],
        max_bytes=_MAX_BYTES,
        max_seconds=tiktok_shared.get_max_seconds(account),
    )
    if not check.error and record["thumbnail_url"] is not None:
        thumbnail = await tiktok_shared.check_images(
            context, api.PLATFORM, [record["thumbnail_url"]], tiktok_shared.THUMBNAIL_FORMATS
        )
        return check if not thumbnail.error else thumbnail
    return await _check_offset(context, record, check)


async def _check_offset(context: SandboxContext, record: Record, check: Outcome) -> Outcome:
    offset = record["info"].get("thumbnail_offset")
    if check.error or offset is None:
        return check
    fetched = await context.fetcher.fetch_video(api.PLATFORM, record["urls"][0], _MAX_BYTES)
    video = None if fetched is None else fetched.video
    is_beyond = video is None or offset > video.duration * 1000
    return Outcome(error="picture_size_check_failed") if is_beyond else check


def _conclude(context: SandboxContext, record: Record, outcome: Outcome) -> None:
    info = record["info"]
    tiktok_shared.finish_task(
        context,
        record,
        context.accounts.find(api.PLATFORM, record["account"]),
        outcome,
        is_draft=record["draft"],
        is_photos=record["sort"] == "photos",
        caption=info.get("caption", ""),
        extra={
            "silent": record["silent"],
            "thumbnail_url": record["thumbnail_url"],
            **{name: value for name, value in info.items() if name != "caption"},
        },
    )


TASK = Task(
    kind=KIND,
    states=("PROCESSING_DOWNLOAD",),
    examine=_examine,
    fail=lambda reason: Outcome(error=reason or "internal"),
    conclude=_conclude,
)
