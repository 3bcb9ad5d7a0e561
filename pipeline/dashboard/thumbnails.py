"""GET of a thumbnail, for visitors who may see its workspace. It never changes, so that browsers keep it for a year."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from functools import partial
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.dashboard.ledger import READ_SECONDS, get_state
from pipeline.dashboard.page import page
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.media.storage import StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.store.files.thumbnails import PATH, find_thumbnail

HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}


@page(Role.VIEWER)
async def show_thumbnail(request: Request, visitor: Visitor) -> Response:
    """Send a thumbnail of one of the visitor's workspaces."""
    state, name = get_state(request), request.path_params["name"]
    load = partial(_load, state.context, name, visitor.workspaces(Role.VIEWER))
    try:
        content = await state.thumbnails.run(load, visitor.user_id)
    except StorageUnavailable:
        raise HTTPException(503, "The file storage cannot be used now. Reload the page later.") from None
    return Response(content, headers=HEADERS, media_type="image/webp")


def _load(context: Context, name: str, workspaces: Collection[UUID]) -> bytes:
    """Return the bytes. Raises StorageUnavailable, and HTTPException 404 unless the visitor may see them."""
    with context.database.begin_read(READ_SECONDS) as c:
        found = find_thumbnail(c, name, workspaces)
    if found is None:
        raise HTTPException(404)
    with closing(context.files.storage.open(found.object, 0, found.size)) as stored:
        return stored.read(found.size)


ROUTES = (Route(PATH.removeprefix("/dashboard") + "{name}", show_thumbnail),)
