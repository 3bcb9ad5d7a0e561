"""Posts and photos of a Page.

A post is created unpublished, published at most once, read and deleted. A published photo is a post; an unpublished one
can be attached to a post within a day.
"""

from aiohttp import web

from adapters.sandbox import graph, probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.clock import DAY
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import api
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.store import Record

KIND, PHOTO_KIND = "facebook.post", "facebook.photo"
_MAX_BYTES = 10_000_000
_FORMATS = ("JPEG", "BMP", "PNG", "GIF", "TIFF")
FEED_KINDS = ("text", "image", "photos")


def create(
    call: Call, account: Record, message: str, photos: list[Record], link: str | None = None
) -> Record:
    """Create and store an unpublished post."""
    kind = "text" if not photos else "image" if len(photos) == 1 else "photos"
    record = make_blank(call.context, account, kind, message)
    record |= {"media": [photo["media"] for photo in photos], "photos": [photo["key"] for photo in photos]}
    record["alt_texts"] = [photo["alt_text"] for photo in photos]
    record |= {"link": link, "hidden_until": call.context.clock.now() + call.take_visibility_delay()}
    call.context.store.put(KIND, record["key"], record)
    return record


def make_blank(context: SandboxContext, account: Record, kind: str, message: str) -> Record:
    """Return a post record without media; it is not stored."""
    record: Record = {
        "key": f"{account['remote_id']}_{random_digits(15, '12')}",
        "account": account["remote_id"],
    }
    record |= {"kind": kind, "message": message, "media": [], "photos": [], "link": None, "video": None}
    return record | {
        "created": context.clock.now(),
        "is_published": False,
        "is_deleted": False,
        "hidden_until": 0.0,
    }


def publish(context: SandboxContext, account: Record, record: Record, late: float = 0.0) -> None:
    """Make a post live and store it; photos, reels and videos become visible through this too.

    `late`: seconds until reads and lists show it.
    """
    now = context.clock.now()
    late = max(late, record["hidden_until"] - now, 0.0)
    video = record["video"]
    context.publish(
        account,
        kind=record["kind"],
        remote_id=video or record["key"],
        handle=video or record["key"],
        caption=record["message"],
        media=record["media"],
        url=build_permalink(record),
        late=late,
        extra={
            "post_id": record["key"],
            "link": record["link"],
            "title": record.get("title"),
            "alt_texts": record.get("alt_texts"),
            "is_ai_generated": record.get("is_ai_generated"),
            "thumb": record.get("thumb"),
        },
    )
    record |= {"is_published": True, "created": now, "hidden_until": now + late}
    context.store.put(KIND, record["key"], record)


def build_permalink(record: Record) -> str:
    """Return the public URL of a post."""
    if record["video"] is not None:
        path = "reel" if record["kind"] == "reel" else f"{record['account']}/videos"
        return f"https://www.facebook.com/{path}/{record['video']}/"
    return f"https://www.facebook.com/{record['account']}/posts/{record['key'].partition('_')[2]}"


def to_dict(record: Record) -> Record:
    """Return every field of a post that a request can select."""
    return {
        "id": record["key"],
        "message": record["message"] or None,
        "created_time": to_iso(record["created"])[:19] + "+0000",
        "is_published": record["is_published"],
        "is_hidden": False,
        "permalink_url": build_permalink(record),
        "status_type": "added_video" if record["video"] else "added_photos" if record["photos"] else None,
        "attachments": _attachments_to_dict(record),
        "from": {"id": record["account"]},
    }


def _attachments_to_dict(record: Record) -> Record | None:
    parts: list[Record] = [
        {"media_type": "photo", "type": "photo", "target": {"id": key}} for key in record["photos"]
    ]
    if record["video"] is not None:
        parts = [{"media_type": "video", "type": "video_inline", "target": {"id": record["video"]}}]
    if len(parts) > 1:
        return {"data": [{"media_type": "album", "type": "album", "subattachments": {"data": parts}}]}
    return {"data": parts} if parts else None


def is_readable(call: Call, record: Record) -> bool:
    """Return True if a read with its Page's token finds the post now."""
    return not record["is_deleted"] and record["hidden_until"] <= call.context.clock.now()


def _get_own_post(call: Call, account: Record) -> Record:
    record = api.get_own(call, account, KIND)
    if record["is_deleted"]:
        raise graph.unknown_node(record["key"])
    return record


async def read(call: Call) -> web.Response:
    """GET /{post}."""
    account = api.authenticate_page(call)
    record = _get_own_post(call, account)
    if not is_readable(call, record) or call.take_fault("late-visibility") is not None:
        raise graph.unknown_node(record["key"])
    return api.ok(api.select_fields(call, to_dict(record), "created_time,message,id"), account)


async def update(call: Call) -> web.Response:
    """POST /{post} with `is_published=true`: publish it; a repetition does nothing."""
    account = api.authenticate_writer(call)
    record = _get_own_post(call, account)
    given = graph.read_parameters(call)
    if "is_published" not in given:
        raise graph.refuse(100, None, "(#100) Only is_published can be changed here.")
    expected = graph.is_true(given, "is_published", default=False)
    if record["is_published"] and not expected:
        raise graph.refuse(100, None, "(#100) A published post cannot be unpublished.")
    if expected and not record["is_published"]:
        publish(call.context, account, record, call.take_visibility_delay())
    return api.ok({"success": True}, account)


async def delete(call: Call) -> web.Response:
    """DELETE /{post}."""
    account = api.authenticate_writer(call)
    record = _get_own_post(call, account)
    call.context.store.put(KIND, record["key"], record | {"is_deleted": True})
    return api.ok({"success": True}, account)


async def create_photo(call: Call) -> web.Response:
    """POST /{page}/photos with `url` or a file `source`."""
    account = api.authenticate_node_writer(call)
    given = graph.read_parameters(call)
    is_published = graph.is_true(given, "published", default=True)
    record: Record = {"key": random_digits(15, "12"), "account": account["remote_id"], "post": None}
    record |= {"created": call.context.clock.now(), "alt_text": str(given.get("alt_text_custom") or "")}
    record["media"] = await _check_image(call, given)
    body = {"id": record["key"]}
    if is_published:
        message = str(given.get("message") or given.get("caption") or "")
        made = create(call, account, message, [record])
        publish(call.context, account, made)
        record["post"] = made["key"]
        body["post_id"] = made["key"]
    call.context.store.put(PHOTO_KIND, record["key"], record)
    return api.ok(body, account)


async def _check_image(call: Call, given: Record) -> Record:
    source, url = given.get("source"), given.get("url")
    if isinstance(source, bytes):
        facts, size = probe.read_image(source), len(source)
        media: Record = {"sha256": None if facts is None else facts.sha256, "bytes": size}
    elif isinstance(url, str) and url:
        fetched = await call.context.fetcher.fetch_image(api.PLATFORM, url, _MAX_BYTES)
        if fetched is None:
            raise graph.refuse(100, None, "(#100) The image could not be fetched from the given URL.")
        facts, size, media = fetched.image, fetched.bytes, fetched.to_ledger_media(url)
    else:
        raise graph.refuse(100, None, "(#100) One of the parameters url or source is required.")
    if facts is None or facts.format not in _FORMATS or size > _MAX_BYTES:
        raise graph.refuse(
            1366046,
            None,
            "Your photos couldn't be uploaded. Photos should be less than 10 MB and saved as JPG, PNG, GIF, BMP or "
            "TIFF files.",
        )
    return media


def get_attachable(call: Call, account: Record, key: str) -> Record:
    """Return the unpublished photo `key` for a post. Raises Refused if it is unknown, published or expired."""
    record = call.find_own(PHOTO_KIND, key, account)
    if record is None:
        raise graph.refuse(100, None, f"(#100) The photo {key} does not exist, or belongs to another Page.")
    if record["post"] is not None:
        held = call.context.store.get(KIND, record["post"])
        if held is not None and held["is_published"]:
            raise graph.refuse(1366051, None, "These photos were already posted.")
    elif call.context.clock.now() >= record["created"] + DAY:
        raise graph.refuse(100, None, f"(#100) The photo {key} has expired.")
    return record


async def delete_photo(call: Call) -> web.Response:
    """DELETE /{photo}: refused once a post uses it."""
    account = api.authenticate_writer(call)
    record = api.get_own(call, account, PHOTO_KIND)
    if record["post"] is not None:
        raise graph.unknown_node(record["key"])
    call.context.store.drop(PHOTO_KIND, record["key"])
    return api.ok({"success": True}, account)
