"""GET of a thumbnail, for visitors who may see its workspace, and under a client's link.

It never changes, so browsers keep it for a year.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.dashboard.ledger import READ_SECONDS, get_state
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.media.storage import StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.store.files.files import Content
from pipeline.store.files.thumbnails import PATH, find_thumbnail

HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}


Find = Callable[[Connection, Request], Content | None]
"""Returns what a request asks for; None unless its sender may see it."""


@page(PATH.removeprefix("/dashboard") + "{name}", Role.VIEWER)
async def show_thumbnail(request: Request, visitor: Visitor) -> Response:
    """Send a thumbnail of one of the visitor's workspaces."""
    within = visitor.workspaces(Role.VIEWER)
    return await send_thumbnail(
        request, lambda c, asked: find_thumbnail(c, asked.path_params["name"], within), visitor.user_id
    )


async def send_thumbnail(request: Request, find: Find, owner: UUID | None) -> Response:
    """Send the thumbnail that *find* returns; *owner*: whose share of the threads is used. Raises HTTPException."""
    state = get_state(request)
    try:
        content = await state.thumbnails.run(partial(_load, state.context, find, request), owner)
    except StorageUnavailable:
        raise HTTPException(503, "The file storage cannot be used now. Reload the page later.") from None
    return Response(content, headers=HEADERS, media_type="image/webp")


def _load(context: Context, find: Find, request: Request) -> bytes:
    """Return the bytes. Raises StorageUnavailable, and HTTPException 404 unless they are found."""
    with context.database.begin_read(READ_SECONDS) as c:
        found = require_found(find(c, request))
    with closing(context.files.storage.open(found.object, 0, found.size)) as stored:
        return stored.read(found.size)
