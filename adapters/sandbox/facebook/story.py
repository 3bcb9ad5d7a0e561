"""Stories of a Page: a photo or a video of its own becomes one, which is listed for a day.

developers.facebook.com/docs/page-stories-api (2026-05-06). An expired story stays listed, as archived, only with the
account option `archive`.
"""

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.context import DAY
from adapters.sandbox.dialect import fill
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import post, video
from adapters.sandbox.facebook.post import ok, refuse
from adapters.sandbox.graph import TABLE
from adapters.sandbox.store import LivePost, Record

_FIELDS = "post_id,status,creation_time,media_id,url"


async def create_from_photo(call: Call, account: Record) -> web.Response:
    """POST /{page}/photo_stories with the id of a photo that is unpublished and unused."""
    given = graph.read_typed(call, "Page.create_photo_story")
    if given.get("url"):
        raise refuse("story_url")
    photo = post.get_attachable(call, account, str(given.get("photo_id") or ""))
    if photo["post"] is not None:
        raise refuse("posted_photo")
    shown = post.make_blank(account, "story", "", media=[photo["media"]], photos=[photo["key"]])
    post.publish(call.context, account, shown, call.take_visibility_delay())
    call.save(post.PHOTO_KIND, photo, post=shown["key"])
    return ok({"success": True, "post_id": shown["key"]}, account)


async def run_video_phase(call: Call, account: Record) -> web.Response:
    """POST /{page}/video_stories with `upload_phase` start or finish."""
    given = graph.read_typed(call, "Page.create_video_story")
    match graph.read_enum(given, "upload_phase"):
        case "START":
            return video.start_upload(call, account, "story")
        case "FINISH":
            record = video.get_uploaded(call, account, given, "story")
            record["post_key"] = post.make_blank(account, "story", "")["key"]
            await video.process(call, record, {"is_ai_generated": given.get("is_ai_generated")}, "published")
            return ok({"success": True, "post_id": record["post_key"]}, account)
        case _:
            raise refuse("reel_phase")


def get_step(call: Call) -> str:
    """Return the step of POST /{page}/video_stories: the finish is `finalize`."""
    return (
        "finalize" if graph.read_enum(graph.read_parameters(call), "upload_phase") == "FINISH" else "prepare"
    )


async def list_stories(call: Call) -> web.Response:
    """GET /{page}/stories, by `status`, `since` and `until`: newest first."""
    account = graph.check_node(call, post.authenticate_page(call, post.READ_SCOPE))
    status = graph.read_enum(graph.read_parameters(call), "status")
    rows = [_to_dict(call, live) for live in graph.list_live(call, account) if live.entry["kind"] == "story"]
    is_archived = bool(account["options"].get("archive"))
    shown = [row for row in rows if row["status"] == "published" or is_archived]
    body = graph.paginate(call, [row for row in shown if status in (None, row["status"].upper())], _FIELDS)
    for row in body["data"]:
        row.pop("id")
    return ok(body, account)


def _to_dict(call: Call, live: LivePost) -> Record:
    record = call.context.store.get(post.KIND, live.entry["extra"]["post_id"]) or {}
    # lower case, as it was seen: github.com/gitroomhq/postiz-app, issue 1920
    status = "published" if live.created_at >= call.context.clock.now() - DAY else "archived"
    media, created = record.get("video") or record["photos"][0], str(int(live.created_at))
    return fill(TABLE["answers"]["story"], entry=live.entry, status=status, created=created, media=media)
