"""Comments on the posts of a Page, by the Page itself.

developers.facebook.com/docs/pages-api/comments-mentions (2026-04-16) and object/comments, read 2026-11-29. A video has
no comments here: with the New Pages they belong to its post.
"""

from aiohttp import web

from adapters.sandbox import comments, graph
from adapters.sandbox.dialect import fill
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import post
from adapters.sandbox.facebook.post import PLATFORM, ok, refuse
from adapters.sandbox.graph import TABLE
from adapters.sandbox.store import LivePost, Record

_SCOPE = "pages_manage_engagement"
_FIELDS = "created_time,from,message,id"


def authenticate_writer(call: Call) -> Record:
    """Return the Page of the token. Raises Refused for a user's token, and for one that may not comment."""
    token = call.find_token()
    if token is not None and token["role"] == post.USER:
        raise refuse("comment_of_user")
    account = call.authenticate(_SCOPE)
    if "CREATE_CONTENT" not in account["options"].get("tasks", post.TASKS):
        raise refuse("no_task")
    return account


async def create(call: Call, account: Record) -> web.Response:
    """POST /{post}/comments."""
    text = str(graph.read_typed(call, "PagePost.create_comment").get("message") or "")
    live = _get_live(call, account)
    if not text.strip():
        raise refuse("no_message")
    return ok({"id": comments.publish(call, account, live, text)["key"]}, account)


async def list_comments(call: Call, account: Record) -> web.Response:
    """GET /{post}/comments by `order` (the oldest first if not given) and `since`."""
    given = graph.read_parameters(call)
    since, listed = graph.parse_int(given, "since") or 0, comments.list_on(call, _get_live(call, account))
    rows = [_to_dict(one) for one in listed if one["created"] >= since]
    if given.get("order") != "reverse_chronological":
        rows.reverse()
    return ok(graph.paginate(call, rows, _FIELDS), account)


def _get_live(call: Call, account: Record) -> LivePost:
    """Return the live post that the path names. Raises Refused for an unpublished or deleted one, and for a story."""
    record = graph.get_own(call, account, post.KIND)
    live = call.context.ledger.find(PLATFORM, record["video"] or record["key"])
    if live is None or record["kind"] == post.STORY or not post.is_readable(call, record):
        raise graph.unknown_node(record["key"])
    return live


def _to_dict(record: Record) -> Record:
    return fill(TABLE["answers"]["comment"], record=record, created=graph.to_time(record["created"]))
