"""Response models of POST /files, GET /files and PUT of an upload URL."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from pydantic import Field

from pipeline.api.files.schema import ContentType
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.store.files.files import File


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
