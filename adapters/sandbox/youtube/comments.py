"""Comments on videos: developers.google.com/youtube/v3/docs/commentThreads, read 2026-11-29.

The account option `comments` says what becomes of a comment: published (the default), heldForReview or likelySpam; each
status has a list of its own. With `disabled`, the channel's videos take none.
"""

from aiohttp import web

from adapters.sandbox import comments
from adapters.sandbox.dialect import fill, json_response
from adapters.sandbox.endpoint import Call
from adapters.sandbox.store import LivePost, Record
from adapters.sandbox.youtube import api
from adapters.sandbox.youtube.api import TABLE, refuse

_LONGEST = 10_000
_PAGE, _MAX_PAGE = 20, 100


async def insert(call: Call, account: Record) -> web.Response:
    """POST /youtube/v3/commentThreads: comment on a video of the channel."""
    parts = api.parse_parts(call, "thread_parts")
    snippet = call.json("CommentThread", "resource").get("snippet") or {}
    api.spend(call)
    video, channel = snippet.get("videoId"), snippet.get("channelId")
    if not video or not channel:
        raise refuse("no_video_id")
    text = str(((snippet.get("topLevelComment") or {}).get("snippet") or {}).get("textOriginal") or "")
    if not text.strip():
        raise refuse("no_comment_text")
    if len(text) > _LONGEST:
        raise refuse("long_comment")
    live = _get_video(call, account, video)
    if channel != account["remote_id"]:
        raise refuse("unknown_video")
    status = account["options"].get("comments", "published")
    return json_response(_to_dict(account, comments.publish(call, account, live, text, status=status), parts))


async def list_threads(call: Call, account: Record) -> web.Response:
    """GET /youtube/v3/commentThreads?videoId=…: those of one moderation status, newest first."""
    parts, query = api.parse_parts(call, "thread_parts"), call.request.query
    api.spend(call)
    if not query.get("videoId"):
        raise refuse("no_filter")
    live, status = _get_video(call, account, query["videoId"]), query.get("moderationStatus", "published")
    size = min(call.read_number("maxResults", _PAGE, "bad_page"), _MAX_PAGE)
    start = call.read_number("pageToken", 0, "bad_page")
    found = [one for one in comments.list_on(call, live) if one["status"] == status]
    items = [_to_dict(account, one, parts) for one in found[start : start + size]]
    more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
    return api.list_response("youtube#commentThreadListResponse", items, len(found), more)


def _get_video(call: Call, account: Record, key: str) -> LivePost:
    live = comments.get_post(call, key, account, refuse("unknown_video"))
    if account["options"].get("comments") == "disabled":
        raise refuse("comments_disabled")
    return live


def _to_dict(account: Record, record: Record, parts: tuple[str, ...]) -> Record:
    """Return a thread; the text as it was sent is shown to its author only."""
    thread = fill(
        TABLE["answers"]["thread"],
        record=record,
        channel=account["remote_id"],
        at=api.to_second(record["created"]),
        etag=api.make_etag(record),
        original={"textOriginal": record["text"]} if record["author"] == account["remote_id"] else {},
    )
    comment = thread["snippet"]["topLevelComment"]["snippet"]
    comment |= comment.pop("original")
    return {name: thread[name] for name in ("kind", "etag", "id", *parts) if name in thread}
