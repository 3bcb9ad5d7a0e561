"""PUT of an upload URL: the body is streamed into storage, and becomes the file in one commit, once.

A crash before the commit leaves a row in ``file_puts`` that names the object, for maintenance to remove, and an upload
URL that is still valid. After the commit the file exists: a client that lost the response sends the same bytes again
and gets 200. Other bytes are refused: a file never changes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

from starlette.requests import ClientDisconnect, Request

from pipeline.api.files.routes import BYTES, MAX_FILENAME, FileBody, StoredFile, open_upload
from pipeline.api.http.dependencies import parse_id
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.http.validation import validate_body
from pipeline.api.openapi.introduction import FILES
from pipeline.api.openapi.operation import Routes, path_parameter, query_parameter
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.audit import Actor
from pipeline.media.probe.containers import HEAD_BYTES
from pipeline.media.storage import StorageUnavailable
from pipeline.media.uploads import TooLarge, TypeMismatch, UploadIntake
from pipeline.stages.file_upload import (
    FileUpload,
    begin_upload,
    build_gone,
    build_other_bytes,
    build_too_large,
    finish_upload,
)
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.files import files as store
from pipeline.store.files.files import File

log = logging.getLogger("slipway.api")
T = TypeVar("T")

UPLOAD_URL = Actor(kind="key", name="an upload URL")
"""The actor of an upload: the URL is signed for one file, and the key that opened it need not be known here."""
PIECE = 1024 * 1024
"""Bytes written to storage at once."""
MAX_PAUSE = 30.0
"""Seconds a client may pause while it sends."""


routes = Routes(tag=FILES, path="/files")
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@routes.add(
    "PUT",
    "/{file_id}/content",
    "The file is stored; also for the same bytes sent again.",
    "invalid_upload_url",
    "request_timeout",
    "file_immutable",
    "internal_error",
    meanings={
        "validation_failed": "the file is empty, incomplete, or a part of one",
        "not_found": "there is no such upload, or it has ended",
        "payload_too_large": "the file exceeds the size limit or what is left of the quota",
        "unsupported_media_type": "Content-Type or the bytes are not of the declared type",
        "rate_limited": "too many uploads of the workspace are in progress",
        "unavailable": "storage or database is unreachable, or the server is overloaded",
    },
    needs_key=False,
    request_body={
        "required": True,
        "description": "The bytes of the file. The Content-Type may also be the type that the URL names.",
        "content": {BYTES: _BINARY},
    },
    parameters=[
        path_parameter("file_id", {"type": "string", "format": "uuid"}),
        query_parameter("type", {"$ref": "#/components/schemas/ContentType"}, required=True),
        query_parameter("expires", {"type": "integer"}, required=True),
        query_parameter("signature", {"type": "string"}, required=True),
    ],
)
async def put_file(request: Request) -> SuccessResponse[StoredFile]:
    """Receive the bytes of a file. No key is needed: the URL is signed for one file, type and time."""
    app_state = get_app_state(request)
    file_id, content_type = _check_signature(request, app_state)
    _require_whole_file(request, content_type)
    stored = await _store(request, app_state, app_state.authenticator.locate(UPLOAD_URL, request), file_id)
    return success("File uploaded", StoredFile.from_file(stored))


async def receive_dropped(app_state: AppState, request: Request, caller: Caller) -> File:
    """Store the body of a request of the dashboard as a new file of the caller's workspace.

    Its type is the body's, its name that of the query. Raises Refusal and Unreachable.
    """
    kind, name = request.headers.get("content-type", ""), request.query_params.get("name", "")
    body = validate_body(FileBody, {"contentType": kind, "filename": name[:MAX_FILENAME] or None})
    opening = partial(open_upload, app_state, caller, body, None)
    file_id, _ = await app_state.transfer_bulkhead.run(opening, caller.key_id)
    return await _store(request, app_state, caller.actor, file_id)


def store_bytes(app_state: AppState, caller: Caller, body: FileBody, content: bytes) -> File:
    """Store bytes as a new file of the key. Raises Refusal and Unreachable."""
    file_id, _ = open_upload(app_state, caller, body, None)
    try:
        upload = begin_upload(app_state.context, caller.actor, find_file(app_state, file_id), len(content))
    except StorageUnavailable as error:
        raise _unavailable(error) from error
    try:
        upload.intake.write(content)
        return finish_upload(upload, upload.intake.finish())
    except Exception as error:
        upload.try_abandon()
        raise _translate(error, upload) or error from error


async def _store(request: Request, app_state: AppState, actor: Actor | None, file_id: UUID) -> File:
    file = await app_state.read_bulkhead.run(partial(find_file, app_state, file_id))
    begin = partial(begin_upload, app_state.context, actor, file, get_declared_size(request))
    return await fill_file(app_state, file, begin, partial(copy_body, request, app_state), finish_upload)


async def fill_file(
    app_state: AppState,
    file: File,
    begin: Callable[[], FileUpload],
    fill: Callable[[UploadIntake], Awaitable[None]],
    finish: Callable[[FileUpload, bytes], T],
) -> T:
    """Begin, fill and finish an upload of a file, one of a few of its workspace. Raises Refusal and Unreachable."""
    bulkhead = app_state.transfer_bulkhead
    with app_state.uploads.slot(file.workspace_id):
        try:
            upload = await bulkhead.run(begin)
        except StorageUnavailable as error:
            raise _unavailable(error) from error
        try:
            await fill(upload.intake)
            digest = await bulkhead.run(upload.intake.finish)
        except BaseException as error:
            await asyncio.shield(bulkhead.run(upload.try_abandon))
            if (refusal := _translate(error, upload)) is None:
                raise
            raise refusal from error
        # from here on maintenance cleans up after a failure: the commit may have succeeded without our knowing
        return await asyncio.shield(bulkhead.run(partial(finish, upload, digest)))


async def copy_body(request: Request, app_state: AppState, intake: UploadIntake) -> None:
    """Write the body to the intake, its head first: a wrong type is refused before the rest is sent.

    Raises what ``translate_transfer_error`` translates, and TooLarge.
    """
    bulkhead, buffer = app_state.transfer_bulkhead, bytearray()
    body = request.stream()
    async with asyncio.timeout(app_state.context.settings.files.upload_time):
        while True:
            async with asyncio.timeout(MAX_PAUSE):
                chunk = await anext(body, None)
            buffer += chunk or b""
            if len(buffer) >= (PIECE if intake.size else HEAD_BYTES) or (chunk is None and buffer):
                await bulkhead.run(partial(intake.write, bytes(buffer)))
                buffer.clear()
            if chunk is None:
                break
    if not intake.size:
        raise Refusal(400, "validation_failed", "The file is empty.")


def _check_signature(request: Request, app_state: AppState) -> tuple[UUID, str]:
    """Return the file id and content type that the URL is signed for. Raises Refusal 404 or 403."""
    file_id = parse_id(request.path_params["file_id"])
    if file_id is None:
        raise Refusal(404, "not_found", "There is no such upload.")
    query = request.query_params
    content_type, expires = query.get("type", ""), query.get("expires", "")
    is_number = expires.isascii() and expires.isdigit() and len(expires) <= 12  # noqa: PLR2004  seconds
    verdict = app_state.context.files.addresses.verify(
        file_id, content_type, int(expires) if is_number else 0, query.get("signature", ""), time.time()
    )
    if verdict == "late":
        raise Refusal(403, "invalid_upload_url", "The upload URL has expired: POST /files for a new one.")
    if verdict == "forged":
        raise Refusal(
            403, "invalid_upload_url", "The signature of the upload URL is invalid: use the URL unchanged."
        )
    return file_id, content_type


def _require_whole_file(request: Request, content_type: str) -> None:
    """Raise Refusal 415 for another type or a compressed body, 400 for a part of a file."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in (content_type, BYTES):
        raise Refusal(415, "unsupported_media_type", f"Send it with Content-Type: {content_type}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_media_type", "Send the file without Content-Encoding.")
    if "content-range" in request.headers:
        raise Refusal(400, "validation_failed", "Send the whole file: Content-Range is not supported.")


def get_declared_size(request: Request) -> int:
    """Return the Content-Length, 0 if it is unknown."""
    given = request.headers.get("content-length", "")
    return int(given[:18]) if given.isascii() and given.isdigit() else 0


def find_file(app_state: AppState, file_id: UUID) -> File:
    """Return the file of an upload. Raises Refusal 404."""
    if (file := app_state.transact(store.find_upload, file_id)) is None:
        raise build_gone()
    return file


def _translate(error: BaseException, upload: FileUpload) -> Refusal | None:
    """Return the refusal for an error during the transfer, or None for an unexpected error."""
    if isinstance(error, TooLarge):
        return (
            build_other_bytes() if upload.key is None else build_too_large(upload.context, upload.intake.most)
        )
    return translate_transfer_error(error)


def translate_transfer_error(error: BaseException) -> Refusal | None:
    """Return the refusal for a body that did not arrive, is not of its type, or could not be stored."""
    if isinstance(error, TimeoutError):
        return HttpRefusal(408, "request_timeout", "The file did not arrive in time.")
    if isinstance(error, ClientDisconnect):
        return Refusal(400, "validation_failed", "The file ended before it was complete.")
    if isinstance(error, TypeMismatch):
        return Refusal(415, "unsupported_media_type", str(error))
    if isinstance(error, StorageUnavailable):
        return _unavailable(error)
    return None


def _unavailable(error: Exception) -> HttpRefusal:
    log.warning("storing a file failed: %s (%s)", error, str(error.__cause__).partition("\n")[0][:300])
    return HttpRefusal(
        503, "unavailable", f"The file could not be stored: {error}. Send it again in a few seconds."
    )
