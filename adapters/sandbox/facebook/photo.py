"""Photos of a Page: a published photo is a post, an unpublished one can be attached to a post within a day."""

from aiohttp import web

from adapters.sandbox import graph_node, probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import post
from adapters.sandbox.facebook.dialect import (
    DIALECT,
    PLATFORM,
    authenticate_node_writer,
    authenticate_writer,
    is_true,
    ok,
    quota_response,
)
from adapters.sandbox.graph_dialect import read_parameters, refuse
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchFailed

KIND = "facebook.photo"
_MAX_BYTES = 10_000_000
_FORMATS = ("JPEG", "BMP", "PNG", "GIF", "TIFF")


async def create(call: Call) -> web.Response:
    """POST /{page}/photos with `url` or a file `source`."""
    account = authenticate_node_writer(call)
    given = read_parameters(call)
    is_published = is_true(given, "published", default=True)
    record: Record = {"key": random_digits(15, "12"), "account": account["remote_id"], "post": None}
    record |= {"created": call.context.clock.now(), "alt_text": str(given.get("alt_text_custom") or "")}
    record["media"] = await _check_image(call, given)
    body = {"id": record["key"]}
    if is_published:
        message = str(given.get("message") or given.get("caption") or "")
        made = post.create(call, account, message, [record])
        post.publish(call.context, account, made)
        record["post"] = made["key"]
        body["post_id"] = made["key"]
    call.context.store.put(KIND, record["key"], record)
    return ok(body, account)


async def _check_image(call: Call, given: Record) -> Record:
    source, url = given.get("source"), given.get("url")
    if isinstance(source, bytes):
        facts, size = probe.read_image(source), len(source)
        media: Record = {"sha256": None if facts is None else facts.sha256, "bytes": size}
    elif isinstance(url, str) and url:
        try:
            fetched = await call.context.fetcher.fetch_image(PLATFORM, url, _MAX_BYTES)
        except FetchFailed:
            raise refuse(100, None, "(#100) The image could not be fetched from the given URL.") from None
        facts, size, media = fetched.image, fetched.bytes, fetched.to_ledger_media(url)
    else:
        raise refuse(100, None, "(#100) One of the parameters url or source is required.")
    if facts is None or facts.format not in _FORMATS or size > _MAX_BYTES:
        raise refuse(
            1366046,
            None,
            "Your photos couldn't be uploaded. Photos should be less than 10 MB and saved as JPG, PNG, GIF, BMP or "
            "TIFF files.",
        )
    return media


def get_attachable(call: Call, account: Record, key: str) -> Record:
    """Return the unpublished photo `key` for a post. Raises Refused if it is unknown, published or expired."""
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
    """DELETE /{photo}: refused once a post uses it."""
    account = authenticate_writer(call)
    node = graph_node.get_node_id(call.request)
    record = call.context.store.get(KIND, node)
    if record is None or record["account"] != account["remote_id"] or record["post"] is not None:
        raise graph_node.unknown_node(node)
    call.context.store.drop(KIND, node)
    return ok({"success": True}, account)


def _get_step(call: Call) -> str:
    return "finalize" if is_true(read_parameters(call), "published", default=True) else "prepare"


CREATE = Endpoint(
    platform=PLATFORM, step=_get_step, handle=create, dialect=DIALECT, quota_exhausted=quota_response
)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
