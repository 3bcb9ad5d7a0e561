"""Media: thumbnails, for visitors who may see their workspace and under a client's link, and uploads in parts.

A thumbnail never changes, so browsers keep it for a year. An upload goes on where it stopped, after a lost connection,
a restart, or a reload of its page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.api.http.auth import require_plan
from pipeline.dashboard.ledger import READ_SECONDS, act, find_caller, get_state, read
from pipeline.dashboard.page import find_client, page, parse_id, require_found
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.media.storage import StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.stages.file_upload import PART_BYTES
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.files.files import Content
from pipeline.store.files.part_uploads import PartUpload, find_part_upload
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


# --- uploads in parts ------------------------------------------------------------------------------------------------


UPLOADS = "/dashboard/uploads"
AUTHOR = Role.AUTHOR
Receiver = Callable[[Request, Caller, UUID], Awaitable[PartUpload]]


def _describe(upload: PartUpload) -> dict[str, Any]:
    """Return the state of an upload: where it goes on, by how many bytes at most, or the address of its file."""
    return {
        "address": f"{UPLOADS}/{upload.id}",
        "offset": upload.offset,
        "most": PART_BYTES,
        "url": upload.url,
    }


@page("/uploads", AUTHOR, "POST", reads_form=False)
async def create(request: Request, visitor: Visitor) -> Response:
    """Create an upload of the file that the body describes, or find the unfinished one of the same file."""
    workspace = find_client(visitor, request.query_params.get("workspace"), "workspace", AUTHOR)
    if workspace is None:
        raise HTTPException(400, "workspace: choose the client whose file this is.")
    return await _receive(request, visitor, workspace, get_state(request).receivers.create_upload)


async def _receive(request: Request, visitor: Visitor, workspace: UUID, receive: Receiver) -> Response:
    """Return the state of an upload after the body was received; a refusal is JSON, which the script shows."""
    try:
        caller = await act(request, find_caller, visitor.actor, workspace)
        require_plan(caller)
        return JSONResponse(_describe(await receive(request, caller, visitor.user_id)))
    except Refusal as refusal:
        return JSONResponse({"message": refusal.message}, refusal.status)


async def _find(request: Request, visitor: Visitor) -> PartUpload:
    """Return an upload of the visitor's own. Raises HTTPException 404 and Forbidden."""
    identity = parse_id(request.path_params["upload_id"], "upload")
    found = require_found(await read(request, find_part_upload, visitor.user_id, identity))
    visitor.require(found.workspace_id, AUTHOR)
    return found


@page("/uploads/{upload_id}", AUTHOR)
async def show(request: Request, visitor: Visitor) -> Response:
    """Return the state of an upload."""
    return JSONResponse(_describe(await _find(request, visitor)))


@page("/uploads/{upload_id}", AUTHOR, "PATCH", reads_form=False)
async def send_part(request: Request, visitor: Visitor) -> Response:
    """Store the body as the part of an upload that begins at the given byte; 409 with the state if that is another."""
    upload = await _find(request, visitor)
    if upload.url is not None:
        return JSONResponse(_describe(upload))
    if request.query_params.get("offset") != str(upload.offset):
        message = f"offset: the next part begins at byte {upload.offset}."
        return JSONResponse({"message": message, **_describe(upload)}, 409)
    receive = partial(get_state(request).receivers.part, upload)
    return await _receive(request, visitor, upload.workspace_id, receive)
