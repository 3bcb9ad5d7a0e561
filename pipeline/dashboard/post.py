"""The page of a post: its media and content, and for each account where it stands, why, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.actions.explain import explain_post
from pipeline.dashboard.actions import ACTIONS
from pipeline.dashboard.ledger import act, get_state, read
from pipeline.dashboard.page import page
from pipeline.dashboard.post_view import MediaItem, build_columns
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.zones import find_page_zone, format_wall_time, keep_zone
from pipeline.domain.account import Role
from pipeline.imports.local_time import AmbiguousTime, list_zones
from pipeline.media.files.upload_urls import PATH, UploadUrls
from pipeline.stages.post_state import compute_version, derive_status, may_be_rescheduled
from pipeline.store.dashboard.post_history import History, read_history
from pipeline.store.deliveries.inspection import find_workspace_of_post
from pipeline.store.files.files import find_own
from pipeline.store.posts.views import PostView

DONE: Mapping[str, str] = {
    "reschedule": "Rescheduled.",
    "cancel": "Canceled.",
    "retry": "Queued for retry.",
    "live": "Marked as live.",
    "again": "It is published again.",
    "resume": "Resumed.",
    "pause": "Paused.",
    "unpause": "Its pause has ended.",
}
"""By what was done: the sentence that the page then begins with."""


@page(Role.VIEWER)
async def show_post(request: Request, visitor: Visitor) -> Response:
    """Show a post of one of the visitor's workspaces."""
    workspace, post = await find_post(request, visitor)
    return await render_post(
        request, visitor, workspace, post, done=DONE.get(request.query_params.get("did", ""))
    )


async def find_post(request: Request, visitor: Visitor) -> tuple[UUID, UUID]:
    """Return the workspace and id of the post of a path. Raises HTTPException 404 unless the visitor may see it."""
    try:
        post = UUID(request.path_params["post_id"])
    except ValueError:
        raise HTTPException(404) from None
    workspace = await read(request, find_workspace_of_post, post)
    if workspace is None or workspace not in visitor.workspaces(Role.VIEWER):
        raise HTTPException(404)
    return workspace, post


async def render_post(
    request: Request,
    visitor: Visitor,
    workspace: UUID,
    post: UUID,
    *,
    status: int = 200,
    done: str | None = None,
    refused: str | None = None,
    ambiguous: AmbiguousTime | None = None,
) -> Response:
    """Render the page. *refused*: why what was asked for was not done. Raises HTTPException 404 for a deleted post."""
    found = await act(request, explain_post, workspace, post)
    if found is None:
        raise HTTPException(404)
    view, zone = found.post, find_page_zone(request)
    histories, media = await read(request, _read_more, view, get_state(request).context.files.addresses)
    role = visitor.roles[workspace]
    response = render(
        request,
        visitor,
        "post.html",
        status,
        post=view,
        status_word=derive_status(view),
        columns=build_columns(found, histories, role),
        media=media,
        options={name: section for name, section in view.options.items() if section},
        may_reschedule=role >= ACTIONS["reschedule"].role and may_be_rescheduled(view),
        tag=f'"{compute_version(view)}"',
        zone=zone.key,
        zones=sorted(list_zones().values()),
        local_time=format_wall_time(view.due_at, zone)[:16],
        done=done,
        refused=refused,
        instants=[instant.isoformat() for instant in ambiguous.instants] if ambiguous else (),
    )
    keep_zone(request, response, zone)
    return response


def _read_more(
    c: Connection, view: PostView, addresses: UploadUrls
) -> tuple[Mapping[UUID, History], list[MediaItem]]:
    return read_history(c, view.id), [
        _find_media(c, view.workspace_id, url, alt, addresses) for url, alt in _list_media(view.media)
    ]


def _list_media(media: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return each URL with its text for those who do not see it."""
    urls = [str(url) for url in media.get("urls") or [media.get("url", "")]]
    texts = [str(text or "") for text in media.get("alt_texts") or ()]
    return [(url, texts[n] if n < len(texts) else "") for n, url in enumerate(urls)]


def _find_media(c: Connection, workspace: UUID, url: str, alt: str, addresses: UploadUrls) -> MediaItem:
    name = addresses.parse_name(url)
    file = None if name is None else find_own(c, workspace, name)
    return MediaItem(
        url=url,
        source=None if file is None else f"{PATH}{file.name}",
        content_type="" if file is None else file.content_type,
        alt=alt,
    )


ROUTES = (Route("/posts/{post_id}", show_post),)
