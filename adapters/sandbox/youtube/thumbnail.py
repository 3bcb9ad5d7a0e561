"""Thumbnails of videos: thumbnails.set, as documented at developers.google.com/youtube/v3/docs/thumbnails/set.

The account option `no_thumbnails` is a channel without a verified phone number, which may not set any.
"""

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.youtube import video
from adapters.sandbox.youtube.dialect import DIALECT, MAY_UPLOAD, PLATFORM, ok, quota_response, refuse

_MAX_BYTES = 52_428_800
_FORMATS = ("JPEG", "PNG")


async def set_thumbnail(call: Call) -> web.Response:
    """POST /upload/youtube/v3/thumbnails/set?videoId=…: the image is the body; a repetition replaces it."""
    account = call.authenticate(*MAY_UPLOAD)
    key = call.request.query.get("videoId", "")
    record = call.context.store.get(video.KIND, key)
    if record is None or record["account"] != account["remote_id"]:
        raise refuse("videoNotFound", "The video cannot be found.", 404)
    if account["options"].get("no_thumbnails"):
        raise refuse("forbidden", "The thumbnail can't be set for the specified video.", 403)
    facts = probe.read_image(call.body)
    if not call.body:
        raise refuse("mediaBodyRequired", "The request does not include the image content.")
    if facts is None or facts.format not in _FORMATS or len(call.body) > _MAX_BYTES:
        raise refuse("invalidImage", "The provided image content is invalid.")
    times = record.get("thumbnails_set", 0) + 1
    call.context.store.put(video.KIND, key, record | {"thumbnail": facts.sha256, "thumbnails_set": times})
    item = {"default": {"url": video.build_thumbnail_url(key, facts.sha256), "width": 120, "height": 90}}
    return ok({"kind": "youtube#thumbnailSetResponse", "etag": facts.sha256[:27], "items": [item]})


SET = Endpoint(
    platform=PLATFORM,
    step="thumbnail",
    handle=set_thumbnail,
    dialect=DIALECT,
    quota_exhausted=lambda _: quota_response(),
)
