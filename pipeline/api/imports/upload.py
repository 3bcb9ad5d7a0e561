"""POST /imports: the file of a new import is streamed into storage, and planned by workers afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Any

from starlette.requests import Request

from pipeline.api.files.routes import BYTES
from pipeline.api.files.upload import copy_body, get_declared_size, translate_transfer_error
from pipeline.api.http.dependencies import Publisher, read_idempotency_key, replayed, require_kept
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.imports.models import ImportJob, UploadQuery
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import CLAIM_ERRORS, KEY_ERRORS, PLAN_ERRORS, Routes, error_responses
from pipeline.api.posts.schema import build_known_columns
from pipeline.api.state import AppState
from pipeline.imports import upload as bulk
from pipeline.imports.upload import ImportOptions, Upload
from pipeline.media.storage import StorageUnavailable
from pipeline.media.uploads import TooLarge
from pipeline.stages.post_request import Refusal
from pipeline.stages.replay import Replayed
from pipeline.store.auth.keys import Caller
from pipeline.store.imports.imports import Import, find_import

ENCODINGS = ("gzip", "zstd")
routes = Routes(tag=IMPORTS, path="/imports")
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@routes.add(
    "POST",
    "",
    "The file is stored, and will be planned.",
    status=202,
    repeated="The file was stored before, with this Idempotency-Key.",
    takes_key=True,
    request_body={
        "required": True,
        "description": "The file: NDJSON (a body of POST /posts on each line), CSV, XLSX or ODS. "
        "Content-Encoding may be gzip or zstd.",
        "content": {BYTES: _BINARY},
    },
    errors=error_responses(
        *KEY_ERRORS,
        *PLAN_ERRORS,
        *CLAIM_ERRORS,
        "request_timeout",
        "internal_error",
        invalid_payload="a value of the query, or the file is none of the formats",
        not_found="the upload took too long and was given up",
        validation_failed="the file is empty or incomplete",
        payload_too_large="the file exceeds the size limit or what is left of the quota",
        unsupported_media_type="the format or Content-Encoding is not supported",
    ),
)
async def create_import(request: Request, call: Publisher, query: UploadQuery) -> SuccessResponse[ImportJob]:
    """Upload a file of posts and plan it. No post is made before apply."""
    app_state, caller = call.app_state, call.caller
    read_idempotency_key(request, caller)  # a wrong one is refused before the file is read
    try:
        job = await _receive_limited(request, app_state, caller, query)
    except Replayed as earlier:
        known = require_kept(await call.read(find_import, caller, earlier.resource))
        data = ImportJob.from_import(known, is_repeat=True)
        return replayed("This file was uploaded before", data)
    return success("Import uploaded", ImportJob.from_import(job), code=202)


async def receive_dropped(app_state: AppState, request: Request, caller: Caller) -> Import:
    """Store the body of a request of the dashboard as the file of a new import. Raises Refusal and Unreachable.

    *caller*: without a key, so that no Idempotency-Key counts.
    """
    query = UploadQuery.read(request.scope["query_string"])
    return await _receive_limited(request, app_state, caller, query)


async def _receive_limited(
    request: Request, app_state: AppState, caller: Caller, query: UploadQuery
) -> Import:
    options = query.to_options(_read_encoding(request))
    with app_state.uploads.slot(caller.workspace_id):
        return await _receive(request, app_state, caller, options, query)


async def _receive(
    request: Request,
    app_state: AppState,
    caller: Caller,
    options: ImportOptions,
    query: UploadQuery,
) -> Import:
    context, bulkhead = app_state.context, app_state.transfer_bulkhead
    upload = await bulkhead.run(
        partial(_begin, app_state, caller, options, get_declared_size(request)), caller.key_id
    )
    content_type = request.headers.get("content-type")
    try:
        await copy_body(request, app_state, upload.intake)
        digest = await bulkhead.run(upload.intake.finish)
        finish = partial(
            bulk.finish_upload,
            context,
            upload,
            digest=digest,
            content_type=content_type,
            format_=query.format,
            key=read_idempotency_key(request, caller, digest.hex(), *_list_facts(options))
            if caller.stored_key
            else None,
        )
        job: Import = await asyncio.shield(bulkhead.run(finish))
    except BaseException as error:
        await asyncio.shield(bulkhead.run(partial(_abandon, app_state, upload)))
        if isinstance(error, TooLarge):
            raise bulk.build_too_large(context, upload.intake.most) from error
        if (refusal := translate_transfer_error(error)) is None:
            raise
        raise refusal from error
    return job


def _begin(app_state: AppState, caller: Caller, options: ImportOptions, declared: int) -> Upload:
    try:
        return bulk.begin_upload(app_state.context, caller, options, build_known_columns(), declared)
    except StorageUnavailable as error:
        raise translate_transfer_error(error) or error from error


def _list_facts(options: ImportOptions) -> list[Any]:
    """Return the options that make a request another one."""
    return [value for name, value in asdict(options).items() if name not in ("name", "encoding")]


def _abandon(app_state: AppState, upload: Upload) -> None:
    try:
        bulk.abandon_upload(app_state.context, upload)
    except StorageUnavailable:
        return  # its row names the object, for maintenance


def _read_encoding(request: Request) -> str | None:
    """Return how the file is compressed. Raises Refusal 415."""
    given = request.headers.get("content-encoding", "identity").lower()
    if given == "identity":
        return None
    if given not in ENCODINGS:
        raise Refusal(
            415, "unsupported_media_type", f"Content-Encoding is {' or '.join(ENCODINGS)}, or none."
        )
    if "content-range" in request.headers:
        raise HttpRefusal(400, "validation_failed", "Send the whole file: Content-Range is not supported.")
    return given
