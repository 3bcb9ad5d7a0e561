"""Photos of the Facebook stand-in: unpublished ones wait a day for their post, published ones are a post at once."""

from aiohttp import web

from adapters.sandbox import graph_node, probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import post
from adapters.sandbox.facebook.dialect import DIALECT, PLATFORM, exhausted, is_true, ok, writable_page, writer
from adapters.sandbox.graph_dialect import arguments, refuse
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchFailed

KIND = "facebook.photo"
_MOST_BYTES = 10_000_000
_FORMATS = ("JPEG", "BMP", "PNG", "GIF", "TIFF")


async def create(call: Call) -> web.Response:
    """POST /{page}/photos with `url` or a file `source`."""
    account = writable_page(call)
    given = arguments(call)
    is_published = is_true(given, "published", otherwise=True)
    record: Record = {"key": random_digits(15, "12"), "account": account["remote_id"], "post": None}
    record |= {"created": call.context.clock.now(), "alt_text": str(given.get("alt_text_custom") or "")}
    record["media"] = await _look_at(call, given)
    answer = {"id": record["key"]}
    if is_published:
        message = str(given.get("message") or given.get("caption") or "")
        made = post.new(call, account, message, [record])
        post.show(call.context, account, made)
        record["post"] = made["key"]
        answer["post_id"] = made["key"]
    call.context.store.put(KIND, record["key"], record)
    return ok(answer, account)


async def _look_at(call: Call, given: Record) -> Record:
    source, url = given.get("source"), given.get("url")
    if isinstance(source, bytes):
        facts, size = probe.read_image(source), len(source)
        told: Record = {"sha256": None if facts is None else facts.sha256, "bytes": size}
    elif isinstance(url, str) and url:
        try:
            pulled = await call.context.fetcher.fetch_image(PLATFORM, url, _MOST_BYTES)
        except FetchFailed:
            raise refuse(100, None, "(#100) The picture could not be fetched from the given URL.") from None
        facts, size, told = pulled.image, pulled.bytes, pulled.to_ledger_media(url)
    else:
        raise refuse(100, None, "(#100) One of the parameters url or source is required.")
    if facts is None or facts.format not in _FORMATS or size > _MOST_BYTES:
        raise refuse(
            1366046,
            None,
            "Your photos couldn't be uploaded. Photos should be less than 10 MB and saved as JPG, PNG, GIF, BMP or "
            "TIFF files.",
        )
    return told


def attachable(call: Call, account: Record, key: str) -> Record:
    """The unpublished photo that a post wants to show; raises Refused."""
    record = call.context.store.get(KIND, key)
    if record is None or record["account"] != account["remote_id"]:
        raise refuse(100, None, f"(#100) The photo {key} does not exist, or belongs to another Page.")
    if record["post"] is not None:
        held = call.context.store.get(post.KIND, record["post"])
        if held is not None and held["is_published"]:
            raise refuse(1366051, None, "These photos were already posted.")
    elif call.context.clock.now() >= record["created"] + DAY:
        raise refuse(100, None, f"(#100) The photo {key} has expired.")
    return record


async def delete(call: Call) -> web.Response:
    """DELETE /{photo}: only while no post shows it."""
    account = writer(call)
    node = graph_node.get_node_id(call.request)
    record = call.context.store.get(KIND, node)
    if record is None or record["account"] != account["remote_id"] or record["post"] is not None:
        raise graph_node.unknown_node(node)
    call.context.store.drop(KIND, node)
    return ok({"success": True}, account)


def _step(call: Call) -> str:
    return "finalize" if is_true(arguments(call), "published", otherwise=True) else "prepare"


CREATE = Endpoint(platform=PLATFORM, step=_step, handle=create, dialect=DIALECT, quota_exhausted=exhausted)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
