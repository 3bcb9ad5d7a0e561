"""Instagram media containers: creation, uploads, media checks and processing.

Images, reels, stories, carousels and carousel items. States: IN_PROGRESS -> FINISHED -> PUBLISHED; ERROR; EXPIRED if
not published within a day.
"""

import json

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import Dialect, load_table
from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Outcome, Task, examine_upload, examine_url
from adapters.sandbox.store import Record
from adapters.sandbox.uploads import ResumableUpload, build_url

PLATFORM = "instagram"
KIND = "instagram.container"
TABLE = load_table(PLATFORM)
_REQUESTS = {**TABLE["requests"], "types": graph.TABLE["requests"]["types"]}
DIALECT = Dialect(graph.error_response, graph.TABLE["errors"] | TABLE["errors"], graph.read_token, _REQUESTS)
refuse = DIALECT.refuse

_IMAGE_BYTES = 8 << 20
_VIDEO_BYTES = 300 << 20
_MAX_CAPTION = 2200
_MAX_HASHTAGS = 30
_MAX_MENTIONS = 20
_MAX_ALT_TEXT = 1000
_MAX_COLLABORATORS = 3
_CHILDREN = (2, 10)
_NOT_FOR_CHILDREN = ("caption", "location_id", "is_ai_generated")
_NOT_FOR_STORIES = ("collaborators", "location_id")


def authenticate_account(call: Call, *scopes: str) -> Record:
    """Return the account of the token.

    Raises:
        Refused: the path names neither the account nor `me`, or the account is restricted.
    """
    account = graph.check_node(call, call.authenticate(*scopes))
    if account["options"].get("restricted"):
        raise refuse("restricted")
    return account


def get_state(context: SandboxContext, record: Record) -> str:
    """Return the container's current status_code."""
    if record["state"] != "PUBLISHED" and context.clock.now() >= record["created"] + DAY:
        return "EXPIRED"
    return str(record["state"])


def describe_status(context: SandboxContext, record: Record) -> str:
    """Return the container's `status`: a sentence, with the subcode if it failed."""
    code = get_state(context, record)
    if code == "ERROR":
        return f"Error: Media upload has failed with error code {record['subcode']}"
    return str(TABLE["texts"][code])


async def create(call: Call, account: Record) -> web.Response:
    """POST /{ig}/media."""
    call.check_limit(TABLE["limits"]["containers"], account["remote_id"])
    given = graph.read_typed(call, "IGUser.create_media")
    facts = _read_facts(given)
    await _set_source(call, account, given, facts)
    call.count(TABLE["limits"]["containers"], account["remote_id"])
    record = call.create(KIND, random_digits(17, "178"), account, **facts)
    if record["source"] == "upload":
        return graph.ok({"id": record["key"], "uri": build_url(call, "ig-api-upload", record)})
    await call.context.processing.start(KIND, record)
    return graph.ok({"id": record["key"]})


def _read_facts(given: Record) -> Record:
    is_child = graph.is_true(given, "is_carousel_item", default=False)
    caption = str(given.get("caption") or "")
    _check_texts(given, caption)
    if is_child and any(name in given for name in _NOT_FOR_CHILDREN):
        raise refuse("child_fields")
    extra = {name: given[name] for name in TABLE["kept"] if name in given}
    return {"state": "IN_PROGRESS", "caption": caption, "child": is_child, "media": [], "extra": extra}


def _check_texts(given: Record, caption: str) -> None:
    too_many = caption.count("#") > _MAX_HASHTAGS or caption.count("@") > _MAX_MENTIONS
    if len(caption) > _MAX_CAPTION or too_many:
        raise refuse("caption")
    if len(str(given.get("alt_text") or "")) > _MAX_ALT_TEXT:
        raise refuse("alt_text", most=_MAX_ALT_TEXT)
    if len(_parse_list(given.get("collaborators"))) > _MAX_COLLABORATORS:
        raise refuse("collaborators", most=_MAX_COLLABORATORS)


def _parse_list(value: object) -> list[str]:
    """Return a list parameter, given as JSON or separated by commas."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise refuse("no_list") from None
    if isinstance(value, list):
        return [str(item) for item in value]
    return [item for item in str(value or "").split(",") if item]


async def _set_source(call: Call, account: Record, given: Record, facts: Record) -> None:
    """Set `kind`, `source`, and `url` or `children`, as the media type requires."""
    media_type = graph.read_enum(given, "media_type") or "IMAGE"
    if media_type == "CAROUSEL" and not facts["child"]:
        facts |= {"kind": "carousel", "source": "children"}
        _set_children(call, account, given, facts)
        return
    # Meta retired VIDEO outside a carousel and does not allow REELS inside one.
    if media_type not in (("IMAGE", "VIDEO") if facts["child"] else ("IMAGE", "REELS", "STORIES")):
        raise refuse("media_type", type=media_type)
    facts["kind"] = TABLE["kinds"][media_type]
    if media_type == "STORIES" and any(given.get(name) for name in _NOT_FOR_STORIES):
        raise refuse("story_fields")
    if media_type != "IMAGE" and graph.read_enum(given, "upload_type") == "RESUMABLE":
        facts |= {"source": "upload", "received": 0, "size": None}
    elif media_type != "IMAGE" and given.get("video_url"):
        facts |= {"source": "video", "url": str(given["video_url"])}
        if given.get("cover_url"):
            await _examine_image(call, str(given["cover_url"]), "cover", "cover")
    elif media_type in ("IMAGE", "STORIES") and given.get("image_url"):
        facts |= {"source": "image", "url": str(given["image_url"])}
        rules = "story_image" if media_type == "STORIES" else "image"
        facts["media"] = list((await _examine_image(call, facts["url"], "media", rules)).media)
    else:
        raise refuse("no_url", needed="image_url" if media_type == "IMAGE" else "video_url")


async def _examine_image(call: Call, url: str, name: str, rules: str) -> Outcome:
    """Return the examination of an image; raises Refused for a bad one.

    A reel's cover is a JPEG of at most 8 MB (Reel cover photo specifications of the same page).
    """
    found = await examine_url(
        call.context, PLATFORM, url, _IMAGE_BYTES, TABLE["media"][rules], "unfetchable", is_video=False
    )
    if found.error is not None:
        raise refuse(found.error, name=name)
    return found


def _set_children(call: Call, account: Record, given: Record, facts: Record) -> None:
    children = _parse_list(given.get("children"))
    if not _CHILDREN[0] <= len(children) <= _CHILDREN[1]:
        raise refuse("children")
    for key in children:
        child = call.find_own(KIND, key, account)
        if child is None or not child["child"]:
            raise refuse("unknown_child", key=key)
        state = get_state(call.context, child)
        if state != "FINISHED":
            raise refuse("expired_child" if state == "EXPIRED" else "unready_child", key=key)
        facts["media"] = facts["media"] + child["media"]
        facts["extra"].setdefault("alt_texts", []).append(child["extra"].get("alt_text"))
    facts["children"] = children


def _get_subcode(row: str) -> int:
    return int(TABLE["errors"][row][1])


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    if record["source"] in ("image", "children"):  # checked when the container was created
        return Outcome(media=tuple(record["media"]))
    rules = TABLE["media"]["story" if record["kind"] == "story" else "reel"]
    if record["source"] == "upload":
        found = await examine_upload(context.get_upload(record), rules, record["size"])
    else:
        found = await examine_url(context, PLATFORM, record["url"], _VIDEO_BYTES, rules, "unfetchable")
    offset = record["extra"].get("thumb_offset")
    if found.error is None and offset is not None and int(offset) > found.facts.duration * 1000:
        return Outcome(error="thumb_offset")
    return found


def _conclude(_: SandboxContext, record: Record, outcome: Outcome) -> None:
    if outcome.error is None:
        record |= {"state": "FINISHED", "media": list(outcome.media)}
        return
    ordered = str(outcome.error).isdecimal()  # the subcode of the fault `fail-processing`
    record |= {"state": "ERROR", "subcode": int(outcome.error) if ordered else _get_subcode(outcome.error)}


TASK = Task(
    kind=KIND,
    states=("IN_PROGRESS",),
    examine=_examine,
    fail=lambda reason: Outcome(error=reason if (reason or "").isdecimal() else "video_format"),
    conclude=_conclude,
)


def _find_upload(call: Call) -> Record | None:
    record = call.context.store.get(KIND, call.request.match_info["container"])
    return None if record is None or record["source"] != "upload" else record


UPLOAD = ResumableUpload(
    kind=KIND,
    find=_find_upload,
    is_open=lambda context, record: (
        get_state(context, record) == "IN_PROGRESS" and record["received"] != record["size"]
    ),
    max_bytes=_VIDEO_BYTES,
    use_url=lambda call, record, url: call.start_processing(KIND, record, source="video", url=url, size=None),
    complete=lambda call, record: call.start_processing(KIND, record),
    keeps_partial=False,
    answer={"success": True, "message": "Upload successful."},
)
