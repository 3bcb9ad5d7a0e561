"""POST /files and GET /files: open an upload, and list the uploaded files of a workspace."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import Field
from starlette.requests import Request
from typing_extensions import TypeAliasType

from pipeline.api.http.dependencies import (
    Publisher,
    RawBody,
    Reader,
    parse_json,
    read_idempotency_key,
    replayed,
    require_kept,
)
from pipeline.api.http.envelope import SuccessResponse, refuse_too_many, success
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.validation import Body, ReadBy, TextQuery, validate_body, whole_number
from pipeline.api.openapi.introduction import FILES
from pipeline.api.openapi.operation import CLAIM_ERRORS, KEY_ERRORS, PLAN_ERRORS, Routes, error_responses
from pipeline.api.state import AppState, get_app_state
from pipeline.stages.post_request import Refusal
from pipeline.stages.replay import Replayed, claim_key
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.database import new_id
from pipeline.store.files import files as store
from pipeline.store.files.files import KINDS, File
from pipeline.store.idempotency_keys import IdempotencyKey

MAX_LIMIT, DEFAULT_LIMIT = 100, 50
MAX_OFFSET = 1_000_000
"""PostgreSQL reads all rows before the offset."""
MAX_FILENAME, MAX_CONTEXT = 255, 255
"""Characters."""
CONTEXT, ALL_CONTEXTS = "media-upload", "all"
"""The only context of files here, and the value that stands for every context."""

BYTES = "application/octet-stream"
"""The Content-Type of clients that send and ask for bytes without their type, as generated clients do."""
ContentType = TypeAliasType(
    "ContentType",
    Literal[
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/heic",
        "image/heif",
        "video/mp4",
        "video/quicktime",
        "video/x-msvideo",
        "video/webm",
        "video/x-m4v",
        "application/pdf",
    ],
)


class FileBody(Body):
    """A file to upload."""

    contentType: ContentType = Field(description="The upload must have this type.")  # noqa: N815  the contract's
    filename: str | None = Field(None, min_length=1, max_length=MAX_FILENAME, description="For people.")


def _parse_kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError("Must be image, video or document.")
    return text


def _parse_context(text: str) -> str:
    if len(text) > MAX_CONTEXT or "\0" in text:
        raise ValueError("Must be a context such as media-upload, several separated by commas, or all.")
    return text


class FileQuery(TextQuery):
    """Filters of a list of files."""

    limit: Annotated[int, whole_number(1, MAX_LIMIT)] = DEFAULT_LIMIT
    offset: Annotated[int, whole_number(0, MAX_OFFSET)] = 0
    type: Annotated[str, ReadBy(_parse_kind, {"type": "string", "enum": [*KINDS]})] | None = None
    context: Annotated[str, ReadBy(_parse_context, {"type": "string", "maxLength": MAX_CONTEXT})] | None = (
        Field(
            None,
            description="media-upload, the only context here, or all; several separated by commas.",
        )
    )

    @property
    def may_match(self) -> bool:
        """Return True if the contexts include the one that files here have."""
        contexts = (self.context or ALL_CONTEXTS).split(",")
        return any(context.strip() in (CONTEXT, ALL_CONTEXTS) for context in contexts)


class UploadParameters(ResponseModel):
    """The parameters of putFile for this upload: the parts of its URL."""

    file_id: UUID
    type: ContentType
    expires: int
    signature: str


class Upload(ResponseModel):
    """Where to send a file, and the URL it will have."""

    uploadUrl: str = Field(description="For one PUT, without a key.")  # noqa: N815  the contract's spelling, here and below
    url: str = Field(description="The URL of the file, for use as media.")
    contentType: ContentType  # noqa: N815
    expiresIn: int = Field(description="Seconds within which the upload has to begin.")  # noqa: N815
    parameters: UploadParameters = Field(description="uploadUrl in parts, for clients that are generated.")


class StoredFile(ResponseModel):
    """One uploaded file."""

    id: UUID
    url: str
    contentType: ContentType  # noqa: N815
    filename: str | None
    size: int = Field(description="Bytes.")
    createdAt: Timestamp  # noqa: N815

    @classmethod
    def from_file(cls, file: File) -> Self:
        """Return a file whose upload is complete."""
        return cls.from_rows(file, contentType=file.content_type, createdAt=file.created_at)


class FilePage(ResponseModel):
    """A page of uploaded files, newest first."""

    files: list[StoredFile]
    total: int
    limit: int
    offset: int
    context: str | None


URL_LIFETIME = 600
"""Seconds within which an upload has to begin."""
MAX_OPEN_UPLOADS = 1000
"""Uploads that one workspace may have opened within that time without beginning them."""


routes = Routes(tag=FILES, path="/files")
_PARAMETERS = "$response.body#/data/parameters"
_LINK = {
    "operationId": "putFile",
    "parameters": {name: f"{_PARAMETERS}/{name}" for name in UploadParameters.model_fields},
}


@routes.add(
    "POST",
    "",
    "Upload URL generated.",
    *PLAN_ERRORS,
    *CLAIM_ERRORS,
    meanings={
        "validation_failed": "the workspace has used its quota",
        "rate_limited": "too many upload URLs are open and unused",
    },
    status=201,
    links={"putFile": _LINK},
    body=FileBody,
    takes_key=True,
    repeated="The upload was opened before, with this Idempotency-Key; its URL is good for as long again.",
)
async def create_file(request: Request, call: Publisher, raw: RawBody) -> SuccessResponse[Upload]:
    """Open an upload: return a URL for one PUT, and the URL that the file will have."""
    app_state, caller, bulkhead = call.app_state, call.caller, call.app_state.transfer_bulkhead
    file = validate_body(FileBody, parse_json(raw))
    key = read_idempotency_key(request, caller, file)
    try:
        file_id, url = await bulkhead.run(partial(open_upload, app_state, caller, file, key), caller.key_id)
    except Replayed as earlier:
        known = require_kept(
            await bulkhead.run(
                partial(app_state.transact, store.find_upload, earlier.resource), caller.key_id
            )
        )
        return replayed("Upload URL was generated before", _build_upload(request, file, known.id, known.url))
    return success("Upload URL generated", _build_upload(request, file, file_id, url), code=201)


def _build_upload(request: Request, file: FileBody, file_id: UUID, url: str) -> Upload:
    app_state = get_app_state(request)
    path = request.app.url_path_for("putFile", file_id=str(file_id))
    query = app_state.context.files.addresses.sign_query(
        file_id, file.contentType, int(time.time()) + URL_LIFETIME
    )
    return Upload(
        uploadUrl=f"{app_state.context.settings.own_url}{path}?{query}",
        parameters=UploadParameters.model_validate({"file_id": file_id, **dict(parse_qsl(query))}),
        url=url,
        contentType=file.contentType,
        expiresIn=URL_LIFETIME,
    )


@routes.add(
    "GET",
    "",
    "A page of files.",
    errors=error_responses(*KEY_ERRORS, "internal_error", invalid_payload="a value of the query"),
)
async def list_files(call: Reader, query: FileQuery) -> SuccessResponse[FilePage]:
    """List the files of the key's scope, newest first, without uploads that are not complete."""
    found, total = list[File](), 0
    if query.may_match:
        page = {"kind": query.type, "limit": query.limit, "offset": query.offset}
        read = partial(call.app_state.transact, store.list_files, call.caller, **page)
        found, total = await call.app_state.read_bulkhead.run(read)
    files = [*map(StoredFile.from_file, found)]
    return success("Files retrieved", FilePage.from_rows(query, files=files, total=total))


def open_upload(
    app_state: AppState, caller: Caller, file: FileBody, key: IdempotencyKey | None
) -> tuple[UUID, str]:
    """Open an upload, and return the id and URL of its file. Raises Refusal and Replayed."""
    addresses, settings = app_state.context.files.addresses, app_state.context.settings.files
    name, file_id = addresses.create_name(file.contentType), new_id()
    with app_state.context.database.begin() as c:
        claim_key(c, key, file_id)
        opened = store.count_waiting_uploads(c, caller.workspace_id, timedelta(seconds=URL_LIFETIME))
        if opened >= MAX_OPEN_UPLOADS:
            message = f"{MAX_OPEN_UPLOADS:,} upload URLs are open and unused: use those first."
            raise refuse_too_many(MAX_OPEN_UPLOADS, message, URL_LIFETIME)
        used = store.sum_bytes(c, caller.workspace_id)
        if settings.quota and used >= settings.quota:
            raise Refusal(
                400,
                "validation_failed",
                f"The workspace stores {used:,} bytes of files and its quota is {settings.quota:,}: upload again when "
                f"older files are removed, {settings.keep_days:g} days after their last use.",
            )
        store.open_file(
            c,
            workspace=caller.workspace_id,
            key=caller.stored_key,
            name=name,
            url=addresses.public_url(name),
            content_type=file.contentType,
            filename=file.filename,
            identity=file_id,
        )
        facts = {"content_type": file.contentType, "filename": file.filename}
        record_change(c, caller.actor, "open", "file", file_id, caller.workspace_id, after=facts)
    return file_id, addresses.public_url(name)
