"""Comments on posts: learn.microsoft.com …/shares/comments-api, 2026-04-28, read 2026-11-29.

They need scopes of their own. Answers name an activity in place of the post, with another number than the post's. No
page names the longest comment; clients use 1,250 characters.
"""

from aiohttp import web

from adapters.sandbox import comments
from adapters.sandbox.dialect import fill, json_response
from adapters.sandbox.endpoint import Call
from adapters.sandbox.linkedin import api
from adapters.sandbox.linkedin.api import TABLE, refuse
from adapters.sandbox.store import Record

_LONGEST = 1250


async def create(call: Call) -> web.Response:
    """POST /rest/socialActions/{urn}/comments: 201, the id in a header."""
    api.authenticate(call)
    body, urn = call.json("comment"), api.get_path_urn(call)
    actor = api.authorize_author(call, body.get("actor"), "actor", api.COMMENT, "no_comments")
    text = (body.get("message") or {}).get("text")
    if not text:
        raise refuse("missing_field", name="message.text")
    if len(text) > _LONGEST:
        raise refuse("long_comment")
    if body.get("object") != urn:
        raise refuse("other_object", urn=urn)
    live = comments.get_post(call, urn, actor, refuse("not_found", urn=urn))
    record = comments.publish(call, actor, live, text)
    return json_response(_to_dict(record), 201, {"x-restli-id": record["key"]})


async def list_comments(call: Call, account: Record) -> web.Response:
    """GET /rest/socialActions/{urn}/comments by `start` and `count`: newest first."""
    urn = api.get_path_urn(call)
    known = call.context.ledger.find(api.PLATFORM, urn)
    author = account["remote_id"] if known is None else known.entry["account"]
    is_readable = api.has_scope(call, account, api.READ_COMMENTS) and api.acts_for(call, account, author)
    if not is_readable:
        raise refuse("no_comments", action="GET_ALL")
    owner = call.context.accounts.find(api.PLATFORM, author) or account
    live = comments.get_post(call, urn, owner, refuse("not_found", urn=urn))
    rows = [_to_dict(one) for one in comments.list_on(call, live)]
    return json_response(api.paginate(call, rows))


def find_owner(call: Call) -> Record | None:
    """Return the actor that the request names, else the account of the token."""
    return api.find_owner(call, call.json().get("actor") if call.body else None)


def _to_dict(record: Record) -> Record:
    activity = f"urn:li:activity:{record['on'].rpartition(':')[2][::-1]}"
    at = int(record["created"] * 1000)
    return fill(TABLE["answers"]["comment"], record=record, activity=activity, at=at)
