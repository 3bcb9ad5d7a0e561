"""The routes of files, and what the OpenAPI page says of them: every status with every code."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import FastAPI

from pipeline.api.files import download as files_serve
from pipeline.api.files import routes as files
from pipeline.api.files import upload as files_put
from pipeline.api.files.schema import DEEPEST, MOST, USUAL, ContentType
from pipeline.api.openapi.document import CREATE, READ, SECURED, Responses, says
from pipeline.api.posts import response_models as answers
from pipeline.api.posts.response_models import Shape, Success
from pipeline.media.files.upload_urls import ENDINGS, PATH


class Upload(Shape):
    """Where to put a file, and what it will be called."""

    uploadUrl: str  # noqa: N815  the contract's spelling, here and below
    url: str
    contentType: ContentType  # noqa: N815
    expiresIn: int  # noqa: N815


class StoredFile(Shape):
    """One uploaded file."""

    id: UUID
    url: str
    contentType: ContentType  # noqa: N815
    filename: str | None
    size: int
    createdAt: str  # noqa: N815


class FilePage(Shape):
    """Uploaded files, newest first."""

    files: list[StoredFile]
    total: int
    limit: int
    offset: int
    context: str | None


class UploadAnswer(Success):
    """An upload was opened."""

    data: Upload


class StoredFileAnswer(Success):
    """A file was uploaded."""

    data: StoredFile


class FilePageAnswer(Success):
    """A page of files."""

    data: FilePage


_WAIT = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"type": "string"}
_SERVED: dict[str, Any] = {
    "headers": {name: {"schema": _TEXT} for name in ("ETag", "Accept-Ranges", "Content-Disposition")},
    "content": dict.fromkeys(ENDINGS, _BINARY),
}
_AWAY = {key: value for key, value in READ.items() if key != 401}  # noqa: PLR2004  asks for no key

OPEN: Responses = {
    201: says(UploadAnswer, "Upload URL generated."),
    **{status: CREATE[status] for status in (402, 403, 408, 413, 415, 422)},
    **READ,
    400: says(answers.Failure, "invalid_json, or validation_failed: the workspace keeps all it may."),
    429: says(answers.Failure, "rate_limited: too many uploads were opened and have not come.", _WAIT),
}
LIST: Responses = {
    200: says(FilePageAnswer, "A page of files."),
    422: says(answers.Invalid, "invalid_payload: a value of the query."),
    **READ,
}
PUT: Responses = {
    200: says(StoredFileAnswer, "The file is stored; so it is when the same bytes are sent again."),
    400: says(answers.Failure, "validation_failed: the file is empty, ended too early, or is a part of one."),
    403: says(answers.Failure, "invalid_upload_url: it has expired, or was changed."),
    404: says(answers.Failure, "not_found: there is no such upload, or it is over."),
    408: says(answers.Failure, "request_timeout: the file did not arrive in time."),
    409: says(answers.Failure, "file_immutable: other bytes were uploaded before."),
    413: says(answers.Failure, "payload_too_large: the largest file, or what is left of the quota."),
    415: says(
        answers.Failure, "unsupported_media_type: Content-Type, or the bytes, are not of the type asked for."
    ),
    429: says(answers.Failure, "rate_limited: too many files of the workspace are on their way.", _WAIT),
    **_AWAY,
    503: says(
        answers.Failure, "unavailable: the storage or the database is away, or too much is under way.", _WAIT
    ),
}
SERVE: Responses = {
    200: {"description": "The file.", **_SERVED},
    206: {"description": "The range of it that was asked for.", **_SERVED},
    304: {"description": "It is what the client has (If-None-Match)."},
    404: says(answers.Failure, "not_found."),
    416: says(answers.Failure, "range_not_satisfiable: it ends before that range."),
    429: PUT[429],
    **_AWAY,
    503: PUT[503],
}


def _parameter(where: str, name: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema, **more}


_KINDS = {"type": "string", "enum": [*ENDINGS]}
OPEN_EXTRA = {
    **SECURED,
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FileBody"}}},
    },
}
LIST_EXTRA = {
    **SECURED,
    "parameters": [
        _parameter("query", "limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}),
        _parameter("query", "offset", {"type": "integer", "minimum": 0, "maximum": DEEPEST, "default": 0}),
        _parameter("query", "type", {"type": "string", "enum": ["image", "video"]}),
        _parameter(
            "query",
            "context",
            {"type": "string", "maxLength": 255},
            description="media-upload, the one there is here, or all; several with commas between them.",
        ),
    ],
}
PUT_EXTRA: dict[str, Any] = {
    "requestBody": {"required": True, "content": dict.fromkeys(ENDINGS, _BINARY)},
    "parameters": [
        _parameter("path", "file_id", {"type": "string", "format": "uuid"}),
        {**_parameter("query", "type", _KINDS), "required": True},
        {**_parameter("query", "expires", {"type": "integer"}), "required": True},
        {**_parameter("query", "signature", _TEXT), "required": True},
    ],
}
SERVE_EXTRA: dict[str, Any] = {
    "parameters": [
        _parameter("path", "name", _TEXT),
        *(_parameter("header", name, _TEXT) for name in ("Range", "If-Range", "If-None-Match")),
    ]
}


def route(app: FastAPI, base: str) -> None:
    """Adds the four routes."""
    add = app.add_api_route
    add(
        f"{base}/files",
        files.create,
        methods=["POST"],
        status_code=201,
        responses=OPEN,
        openapi_extra=OPEN_EXTRA,
        operation_id="createFile",
    )
    add(
        f"{base}/files",
        files.index,
        methods=["GET"],
        responses=LIST,
        openapi_extra=LIST_EXTRA,
        operation_id="listFiles",
    )
    add(
        f"{base}/files/{{file_id}}/content",
        files_put.put,
        methods=["PUT"],
        responses=PUT,
        openapi_extra=PUT_EXTRA,
        operation_id="putFile",
        name="putFile",
    )
    add(
        f"{PATH}{{name}}",
        files_serve.serve,
        methods=["GET"],
        responses=SERVE,
        openapi_extra=SERVE_EXTRA,
        operation_id="getFile",
    )
    add(f"{PATH}{{name}}", files_serve.serve, methods=["HEAD"], include_in_schema=False)
