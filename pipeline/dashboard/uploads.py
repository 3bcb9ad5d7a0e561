"""Uploads in parts: a file goes on where it stopped, after a lost connection, a restart, or a reload of its page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.api.http.auth import require_plan
from pipeline.dashboard.ledger import act, find_caller, get_state, read
from pipeline.dashboard.page import find_client, page, parse_id, require_found
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.stages.part_upload import PART_BYTES
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.files.part_uploads import PartUpload, find_part_upload

PATH = "/dashboard/uploads"
AUTHOR = Role.AUTHOR
Receiver = Callable[[Request, Caller, UUID], Awaitable[PartUpload]]


def _describe(upload: PartUpload) -> dict[str, Any]:
    """Return the state of an upload: where it goes on, by how many bytes at most, or the address of its file."""
    return {"address": f"{PATH}/{upload.id}", "offset": upload.offset, "most": PART_BYTES, "url": upload.url}


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
