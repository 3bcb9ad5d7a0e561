"""POST /posts, GET /posts and GET /posts/{id}. The order of the lines in ``create`` is the order of the error table."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http import strict_json as json_reader
from pipeline.api.http.body import read_body, require_json
from pipeline.api.http.envelope import HttpRefusal, success
from pipeline.api.posts import serialize as rendering
from pipeline.api.posts.pagination import Wanted, read_query, write_cursor
from pipeline.api.posts.schema import read_post
from pipeline.api.posts.unsafe_text import harmless
from pipeline.api.state import Site, site_of
from pipeline.stages.ingest import accept
from pipeline.stages.ingest_batch import Asked
from pipeline.stages.post_request import Accepted, PostRequest
from pipeline.stages.post_state import version_of
from pipeline.store.auth.keys import Caller
from pipeline.store.health import plan_once
from pipeline.store.posts import views as post_views
from pipeline.store.posts.pages import list_posts
from pipeline.store.rollups.count import count_by_status


async def create(request: Request) -> Response:
    """Take a post. The answer is sent after the commit; a repeat with the same external_id gets the same post."""
    site = site_of(request)
    caller = await site.keyring.publisher(request)
    raw = await read_body(request, site.context.settings.api.max_body)
    require_json(request, raw)
    limits = await site.metered(caller)
    key = request.headers.get("idempotency-key")
    wanted = read_post(json_of(raw), site.rules, key, harmless=harmless(raw))
    found = await _taken(site, caller, wanted)
    data = rendering.accepted(found)
    return success("Post scheduled", data, code=200 if found.duplicate else 201, headers=limits)


async def _taken(site: Site, caller: Caller, wanted: PostRequest) -> Accepted:
    """With its neighbours in one transaction if it is plain, else on its own; mass work keeps to its narrow lane."""
    lane = site.lane_of(caller)
    if not caller.bulk:
        lane.enter(caller.key_id)
        try:
            found = await site.grouping.ask(Asked(caller=caller, request=wanted))
        finally:
            lane.leave(caller.key_id)
        if found is not None:
            return found
    return await lane.run(partial(accept, site.context, caller, wanted), caller.key_id)


async def index(request: Request) -> Response:
    """List posts, newest first."""
    site = site_of(request)
    caller = await site.keyring.caller(request)
    wanted = read_query(request.scope["query_string"])
    return success(
        "Posts retrieved", await site.reading.run(partial(_page, site, caller, wanted), caller.key_id)
    )


async def show(request: Request) -> Response:
    """Show one post."""
    site = site_of(request)
    caller = await site.keyring.caller(request)
    identity = identity_of(request.path_params["post_id"])
    found = (
        None
        if identity is None
        else await site.reading.run(partial(_read, site, caller, identity), caller.key_id)
    )
    if found is None:
        raise HttpRefusal(404, "not_found", "There is no such post.")
    return success("Post retrieved", rendering.post(found), headers={"ETag": f'"{version_of(found)}"'})


def json_of(raw: bytes) -> Any:
    """The body's JSON. Raises Refusal 400."""
    try:
        return json_reader.read(raw)
    except json_reader.InvalidJson as error:
        raise HttpRefusal(400, "invalid_json", str(error)) from None


def _page(site: Site, caller: Caller, wanted: Wanted) -> dict[str, Any]:
    with site.context.database.begin() as c:
        plan_once(c)
        found = list_posts(
            c,
            caller.workspace_id,
            status=wanted.status,
            since=wanted.since,
            until=wanted.until,
            before=wanted.before,
            limit=wanted.limit + 1,
            accounts=caller.accounts,
        )
        counted = count_by_status(c, caller.workspace_id, wanted.since, wanted.until, caller.accounts)
    shown, more = found[: wanted.limit], len(found) > wanted.limit
    return {
        "summary": rendering.summary(counted),
        "posts": [rendering.post(p) for p in shown],
        "next_cursor": write_cursor((shown[-1].created_at, shown[-1].id)) if more else None,
    }


def _read(site: Site, caller: Caller, post: UUID) -> post_views.PostView | None:
    with site.context.database.begin() as c:
        return post_views.read_post(c, caller.workspace_id, post, caller.accounts)


def identity_of(text: str) -> UUID | None:
    """The id, if it is spelt like one."""
    try:
        return UUID(text) if len(text) == 36 else None  # noqa: PLR2004  UUID() itself takes braces and urn: too
    except ValueError:
        return None
