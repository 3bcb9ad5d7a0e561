"""Uploads of the dashboard in parts, after the ideas of tus 1.0 (tus.io/protocols/resumable-upload, read 2026-12).

An upload is created for a file of a browser, and found again for the same one; its state says the byte at which it
goes on; a part begins there. With the last part the file is stored, as every other is.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

from pydantic import Field
from starlette.requests import Request

from pipeline.api.files.routes import FileBody, open_upload
from pipeline.api.files.upload import copy_body, fill_file, find_file, get_declared_size
from pipeline.api.http.dependencies import parse_json
from pipeline.api.http.request import read_body
from pipeline.api.http.validation import validate_body
from pipeline.api.state import AppState
from pipeline.media.uploads import UploadIntake
from pipeline.stages.file_upload import (
    begin_part,
    begin_upload,
    build_gone,
    copy_part,
    find_resumable,
    finish_part,
    finish_upload,
    remove_parts,
)
from pipeline.store.auth.keys import Caller
from pipeline.store.files import part_uploads as store
from pipeline.store.files.files import File
from pipeline.store.files.part_uploads import PartUpload, SameFile

MAX_BODY = 8192
MAX_NUMBER = 2**62


class PartUploadBody(FileBody):
    """A file to upload in parts."""

    size: int = Field(gt=0, le=MAX_NUMBER, description="Bytes of the whole file.")
    modified: int = Field(ge=0, le=MAX_NUMBER, description="When it was changed, in ms since 1970.")


async def create_part_upload(app_state: AppState, request: Request, caller: Caller, user: UUID) -> PartUpload:
    """Return the unfinished upload of the file that the body describes, new if there is none. Raises Refusal."""
    body = validate_body(PartUploadBody, parse_json(await read_body(request, MAX_BODY)))
    return await app_state.transfer_bulkhead.run(partial(_create, app_state, caller, user, body))


def _create(app_state: AppState, caller: Caller, user: UUID, body: PartUploadBody) -> PartUpload:
    same = SameFile(user, caller.workspace_id, body.contentType, body.filename, body.size, body.modified)
    if found := find_resumable(app_state.context, same):
        return found
    file, _ = open_upload(
        app_state, caller, FileBody(contentType=body.contentType, filename=body.filename), None
    )
    app_state.transact(store.open_part_upload, file, same)
    return _find(app_state, user, file)


async def receive_part(
    app_state: AppState, upload: PartUpload, request: Request, caller: Caller, user: UUID
) -> PartUpload:
    """Store the body as the next part of an unfinished upload, and the file after the last one. Raises Refusal.

    Once all parts are there, the body is not read: the last answer was lost, or storing the file failed.
    """
    bulkhead = app_state.transfer_bulkhead
    file = await bulkhead.run(partial(find_file, app_state, upload.id))
    if upload.received < upload.size:
        begin = partial(begin_part, app_state.context, upload, file, get_declared_size(request))
        fill, finish = partial(copy_body, request, app_state), partial(finish_part, upload.received)
        await fill_file(app_state, file, begin, fill, finish)
        upload = await bulkhead.run(partial(_find, app_state, user, upload.id))
    if upload.url is None and upload.received == upload.size:
        await _store_whole(app_state, caller, file, upload)
        upload = await bulkhead.run(partial(_find, app_state, user, upload.id))
    return upload


async def _store_whole(app_state: AppState, caller: Caller, file: File, upload: PartUpload) -> None:
    """Make the file of its parts, one step of the bulkhead for each."""
    context, bulkhead = app_state.context, app_state.transfer_bulkhead
    parts = await bulkhead.run(partial(app_state.transact, store.list_parts, upload.id))

    async def fill(intake: UploadIntake) -> None:
        for part in parts:
            await bulkhead.run(partial(copy_part, context, part, intake))

    begin = partial(begin_upload, context, caller.actor, file, upload.size)
    await fill_file(app_state, file, begin, fill, finish_upload)
    await bulkhead.run(partial(remove_parts, context, parts))


def _find(app_state: AppState, user: UUID, identity: UUID) -> PartUpload:
    if (found := app_state.transact(store.find_part_upload, user, identity)) is None:
        raise build_gone()
    return found
