"""Body, query and answers of the operations on files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self
from uuid import UUID

from pydantic import Field
from typing_extensions import TypeAliasType

from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.validation import Body
from pipeline.api.posts.pagination import Readers, parse_number, read_values
from pipeline.store.files.files import File

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
    ],
)


class FileBody(Body):
    """A file to upload."""

    contentType: ContentType = Field(description="The upload must have this type.")  # noqa: N815  the contract's
    filename: str | None = Field(None, min_length=1, max_length=MAX_FILENAME, description="For people.")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileQuery:
    """Filters of a list of files."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    kind: str | None = None
    context: str | None = None

    @property
    def may_match(self) -> bool:
        """Return True if the contexts include the one that files here have."""
        contexts = (self.context or ALL_CONTEXTS).split(",")
        return any(context.strip() in (CONTEXT, ALL_CONTEXTS) for context in contexts)


def read_file_query(raw: bytes) -> FileQuery:
    """Parse the query of a list. Raises what ``read_values`` raises."""
    return FileQuery(**read_values(raw, _READERS))


def _parse_kind(text: str) -> str:
    if text not in ("image", "video"):
        raise ValueError("Must be image or video.")
    return text


def _parse_context(text: str) -> str:
    if len(text) > MAX_CONTEXT or "\0" in text:
        raise ValueError("Must be a context such as media-upload, several separated by commas, or all.")
    return text


_READERS: Readers = {
    "limit": ("limit", parse_number(1, MAX_LIMIT)),
    "offset": ("offset", parse_number(0, MAX_OFFSET)),
    "type": ("kind", _parse_kind),
    "context": ("context", _parse_context),
}


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
        return cls.model_validate(
            {
                "id": file.id,
                "url": file.url,
                "contentType": file.content_type,
                "filename": file.filename,
                "size": file.size,
                "createdAt": file.created_at,
            }
        )


class FilePage(ResponseModel):
    """A page of uploaded files, newest first."""

    files: list[StoredFile]
    total: int
    limit: int
    offset: int
    context: str | None
