"""Creation of Instagram containers: images, reels, stories, carousels and carousel items."""

import json

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.clock import DAY
from adapters.sandbox.endpoint import Call
from adapters.sandbox.instagram import container
from adapters.sandbox.instagram.container import KIND, PLATFORM
from adapters.sandbox.instagram.read import authenticate_account
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia

_CONTAINERS_A_DAY = 400
_TOO_MANY = "Application request limit reached: too many containers today."
_MAX_CAPTION = 2200
_MAX_HASHTAGS = 30
_MAX_MENTIONS = 20
_MAX_ALT_TEXT = 1000
_MAX_COLLABORATORS = 3
_CHILDREN = (2, 10)
_KINDS = {"REELS": "reel", "STORIES": "story", "CAROUSEL": "carousel"}
_NOT_FOR_CHILDREN = ("caption", "location_id", "is_ai_generated")


async def create(call: Call) -> web.Response:
    """POST /{ig}/media."""
    account = authenticate_account(call, "instagram_business_content_publish", "instagram_content_publish")
    given = graph.read_parameters(call)
    window = f"instagram.containers:{account['remote_id']}"
    if call.context.rate_windows.is_full(window, _CONTAINERS_A_DAY, DAY):
        raise graph.refuse(4, None, _TOO_MANY)
    record = _make_record(call, account, given)
    await _set_source(call, account, given, record)
    call.context.rate_windows.add(window, DAY)
    call.context.store.put(KIND, record["key"], record)
    if record["source"] == "upload":
        version = call.request.path.split("/")[2]
        address = f"http://{call.request.host}/rupload/ig-api-upload/{version}/{record['key']}"
        return graph.ok({"id": record["key"], "uri": address})
    await call.context.processing.start(KIND, record)
    return graph.ok({"id": record["key"]})


def _make_record(call: Call, account: Record, given: Record) -> Record:
    is_child = graph.is_true(given, "is_carousel_item", default=False)
    caption = str(given.get("caption") or "")
    _check_texts(given, caption)
    if is_child and any(name in given for name in _NOT_FOR_CHILDREN):
        raise graph.refuse(100, None, "A carousel item takes no caption, location or AI label.")
    record: Record = {
        "key": random_digits(17, "178"),
        "account": account["remote_id"],
        "state": "IN_PROGRESS",
    }
    record |= {"created": call.context.clock.now(), "caption": caption, "child": is_child, "media": []}
    record["extra"] = {name: given[name] for name in container.TABLE["kept"] if name in given}
    return record | call.take_processing_faults()


def _check_texts(given: Record, caption: str) -> None:
    too_many = caption.count("#") > _MAX_HASHTAGS or caption.count("@") > _MAX_MENTIONS
    if len(caption) > _MAX_CAPTION or too_many:
        raise graph.refuse(36004, 2207010, "The caption is too long, or has too many hashtags or mentions.")
    if len(str(given.get("alt_text") or "")) > _MAX_ALT_TEXT:
        raise graph.refuse(100, None, f"Param alt_text must be at most {_MAX_ALT_TEXT} characters.")
    if len(_parse_list(given.get("collaborators"))) > _MAX_COLLABORATORS:
        raise graph.refuse(100, None, f"Param collaborators must have at most {_MAX_COLLABORATORS} names.")


def _parse_list(value: object) -> list[str]:
    """Return a list parameter, given as JSON or separated by commas."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise graph.refuse(100, None, "A list is not valid JSON.") from None
    if isinstance(value, list):
        return [str(item) for item in value]
    return [item for item in str(value or "").split(",") if item]


async def _set_source(call: Call, account: Record, given: Record, record: Record) -> None:
    """Set `kind`, `source`, and `url` or `children`, as the media type requires."""
    media_type = graph.read_enum(given, "media_type") or "IMAGE"
    if media_type == "CAROUSEL" and not record["child"]:
        record |= {"kind": "carousel", "source": "children"}
        _set_children(call, account, given, record)
        return
    allowed = ("IMAGE", "VIDEO") if record["child"] else ("IMAGE", "REELS", "STORIES")
    if media_type not in allowed:
        # Meta retired VIDEO outside a carousel and does not allow REELS inside one.
        raise graph.refuse(100, 2207023, f"The media type {media_type} is unknown here.")
    record["kind"] = "video" if media_type == "VIDEO" else _KINDS.get(media_type, "image")
    if media_type != "IMAGE" and graph.read_enum(given, "upload_type") == "RESUMABLE":
        record |= {"source": "upload", "received": 0, "file_size": None}
    elif media_type != "IMAGE" and given.get("video_url"):
        record |= {"source": "video", "url": str(given["video_url"])}
        await _check_cover(call, given)
    elif media_type in ("IMAGE", "STORIES") and given.get("image_url"):
        record |= {"source": "image", "url": str(given["image_url"])}
        await _check_image(call, record)
    else:
        needed = "image_url" if media_type == "IMAGE" else "video_url"
        raise graph.refuse(100, None, f"The parameter {needed} is required.")


async def _fetch_image(call: Call, url: str, name: str) -> FetchedMedia:
    fetched = await call.context.fetcher.fetch_image(PLATFORM, url, container.IMAGE_BYTES)
    if fetched is None:
        message = f"The {name} could not be fetched from this URI."
        raise graph.refuse(*container.UNFETCHABLE, message)
    return fetched


async def _check_image(call: Call, record: Record) -> None:
    fetched = await _fetch_image(call, record["url"], "media")
    if (fault := container.find_image_error(fetched)) is not None:
        raise graph.refuse(*fault, "The image cannot be used: size, format or aspect ratio.")
    record["media"] = [fetched.to_ledger_media(record["url"])]


async def _check_cover(call: Call, given: Record) -> None:
    """Fetch a reel's cover: a JPEG of at most 8 MB (Reel cover photo specifications of the same page)."""
    if not given.get("cover_url"):
        return
    fetched = await _fetch_image(call, str(given["cover_url"]), "cover")
    if fetched.image is None or fetched.image.format != "JPEG":
        raise graph.refuse(*container.IMAGE_FORMAT, "The cover is no JPEG.")


def _set_children(call: Call, account: Record, given: Record, record: Record) -> None:
    children = _parse_list(given.get("children"))
    if not _CHILDREN[0] <= len(children) <= _CHILDREN[1]:
        raise graph.refuse(100, 2207028, "A carousel needs from 2 to 10 items.")
    for key in children:
        child = call.find_own(KIND, key, account)
        if child is None or not child["child"]:
            raise graph.refuse(24, 2207006, f"The media with id {key} cannot be found.")
        match container.get_state(call.context, child):
            case "FINISHED":
                record["media"] = record["media"] + child["media"]
                record["extra"].setdefault("alt_texts", []).append(child["extra"].get("alt_text"))
            case "EXPIRED":
                raise graph.refuse(24, 2207008, f"The container {key} has expired.")
            case _:
                raise graph.refuse(9007, 2207027, f"The media {key} is not ready, please wait a moment.")
    record["children"] = children


def refuse_quota(_: Call) -> web.Response:
    """Return the error of an account that has created too many containers."""
    return graph.error_response(4, None, _TOO_MANY)
