"""Comments on Instagram's media: their owner comments, and lists them, newest first, 50 a page.

developers.facebook.com ig-media/comments, v25.0 text of 2026-09-11, read 2026-11-29. The ids of authors are scoped to
the app, so they are not those of accounts.
"""

import hashlib

from aiohttp import web

from adapters.sandbox import comments, graph
from adapters.sandbox.endpoint import Call
from adapters.sandbox.instagram.container import refuse
from adapters.sandbox.store import LivePost, Record

_PAGE = 50


async def create(call: Call, account: Record) -> web.Response:
    """POST /{media}/comments."""
    text = str(graph.read_typed(call, "IGMedia.create_comment").get("message") or "")
    live = _get_media(call, account)
    if not text.strip():
        raise refuse("no_message")
    return graph.ok({"id": comments.publish(call, account, live, text)["key"]})


async def list_comments(call: Call, account: Record) -> web.Response:
    """GET /{media}/comments: the top level; no filter by time."""
    rows = [_to_dict(one) for one in comments.list_on(call, _get_media(call, account))]
    return graph.ok(graph.paginate(call, rows, "id,text,timestamp", _PAGE))


def _get_media(call: Call, account: Record) -> LivePost:
    key = graph.get_node_id(call.request)
    return comments.get_post(call, key, account, graph.unknown_node(key))


def _to_dict(record: Record) -> Record:
    scoped = str(int(hashlib.sha256(record["author"].encode()).hexdigest()[:12], 16))
    return {
        "id": record["key"],
        "text": record["text"],
        "timestamp": graph.to_time(record["created"]),
        "username": record["name"],
        "from": {"id": scoped, "username": record["name"]},
        "hidden": False,
    }
