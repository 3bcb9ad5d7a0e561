"""POST /imports: the file of a new import is streamed into storage, and planned by workers afterwards."""

from __future__ import annotations

import asyncio
from functools import partial

from starlette.requests import Request

from pipeline.api.files.schema import BYTES
from pipeline.api.files.upload import copy_body, get_declared_size, translate_transfer_error
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.imports.response_models import ImportJob
from pipeline.api.imports.schema import UploadQuery, read_query
from pipeline.api.openapi.error_responses import KEY_ERRORS, PLAN_ERRORS, error_responses
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import PARTNER_API, Operation, header_parameter, query_parameter
from pipeline.api.posts.schema import MAX_EXTERNAL_ID, parse_key_header
from pipeline.api.state import AppState, get_app_state
from pipeline.bulk import upload as bulk
from pipeline.bulk.upload import ImportOptions, StoredUpload, Upload
from pipeline.media.files.storage_folder import StorageUnavailable
from pipeline.media.files.upload_intake import TooLarge
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller

ENCODINGS = ("gzip", "zstd")


async def create_import(request: Request) -> SuccessResponse[ImportJob]:
    """Upload a file of posts and plan it. No post is made before apply."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_publisher(request)
    query = read_query(UploadQuery, request.scope["query_string"])
    key = parse_key_header(request.headers.get("idempotency-key"))
    options = ImportOptions(
        name=query.name,
        encoding=_read_encoding(request),
        strict=query.strict,
        updates=query.update,
        time_zone=query.time_zone,
    )
    with app_state.file_transfers.uploads.slot(caller.workspace_id):
        stored = await _receive(request, app_state, caller, options, query, key)
    data = ImportJob.from_import(stored.job, is_repeat=stored.is_repeat)
    message = "This file was uploaded before" if stored.is_repeat else "Import uploaded"
    return success(message, data, code=202)


async def _receive(
    request: Request,
    app_state: AppState,
    caller: Caller,
    options: ImportOptions,
    query: UploadQuery,
    key: str | None,
) -> StoredUpload:
    context, bulkhead = app_state.context, app_state.file_transfers.bulkhead
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
            idempotency_key=key,
        )
        stored: StoredUpload = await asyncio.shield(bulkhead.run(finish))
    except BaseException as error:
        await asyncio.shield(bulkhead.run(partial(_abandon, app_state, upload)))
        if isinstance(error, TooLarge):
            raise bulk.build_too_large(context, upload.intake.most) from error
        if (refusal := translate_transfer_error(error)) is None:
            raise
        raise refusal from error
    if stored.is_repeat:
        await bulkhead.run(partial(_abandon, app_state, upload))
    return stored


def _begin(app_state: AppState, caller: Caller, options: ImportOptions, declared: int) -> Upload:
    try:
        return bulk.begin_upload(app_state.context, caller, options, declared)
    except StorageUnavailable as error:
        raise translate_transfer_error(error) or error from error


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


_BINARY = {"schema": {"type": "string", "format": "binary"}}
OPERATIONS = (
    Operation(
        id="createImport",
        method="POST",
        path=f"{PARTNER_API}/imports",
        handler=create_import,
        tag=IMPORTS,
        status=202,
        returns="The file is stored, and will be planned; or it was before, under this Idempotency-Key.",
        request_body={
            "required": True,
            "description": "The file: NDJSON (a body of POST /posts on each line), CSV, XLSX or ODS. "
            "Content-Encoding may be gzip or zstd.",
            "content": {BYTES: _BINARY},
        },
        parameters=[
            query_parameter("name", {"type": "string", "maxLength": 255}, "Of the file, for people."),
            query_parameter(
                "format",
                {"type": "string", "enum": ["ndjson", "csv", "xlsx", "ods"]},
                "Default: by Content-Type, name and first bytes.",
            ),
            query_parameter("strict", {"type": "boolean"}, "Apply nothing unless every row is good."),
            query_parameter(
                "update",
                {"type": "boolean"},
                "Edit the posts of rows whose external_id was used with another body; else they are rejected.",
            ),
            query_parameter(
                "time_zone", {"type": "string", "maxLength": 64}, "Of local times in rows that name none."
            ),
            header_parameter(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": MAX_EXTERNAL_ID},
                "The same file and key again: the first import.",
            ),
        ],
        errors=error_responses(
            *KEY_ERRORS,
            *PLAN_ERRORS,
            "request_timeout",
            "internal_error",
            invalid_payload="a value of the query, or the file is none of the formats",
            create_failed="409: the Idempotency-Key was used for another file; 500: an internal error, safe to repeat",
            not_found="the upload took too long and was given up",
            validation_failed="the file is empty or incomplete",
            payload_too_large="the file exceeds the size limit or what is left of the quota",
            unsupported_media_type="the format or Content-Encoding is not supported",
        ),
    ),
)
