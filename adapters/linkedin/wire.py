"""Models of LinkedIn's JSON, limited to the fields that are read; unknown keys are ignored."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from pydantic import AliasChoices, AliasPath, Field

from adapters.transport import Wire

MediaState = Literal["WAITING_UPLOAD", "PROCESSING", "AVAILABLE", "PROCESSING_FAILED"]


class InputError(Wire):
    """One entry of ``errorDetails.inputErrors``."""

    code: str = ""


class ErrorDetails(Wire):
    """The part of an error that holds the code of a 422."""

    inputErrors: tuple[InputError, ...] = ()  # noqa: N815 their name


FORBIDDEN = "RESOURCE_FORBIDDEN"
"""Our code for "Accessing this … resource is forbidden", which comes with a vendor's code or without.

Source: the videos API's page (learn.microsoft.com, li-lms-2026-05), read 2026-11-29.
"""
SCHEMA_ERROR = "ERROR"
"""Our code for violations of the schema, which have none: each is a line ``ERROR :: /field :: rule`` of the message."""


class ErrorBody(Wire):
    """An error: ``{"status":403,"code":"ACCESS_DENIED","message":"…","serviceErrorCode":100}``."""

    status: int
    code: str = ""
    message: str = ""
    serviceErrorCode: int | None = None  # noqa: N815 their name
    errorDetails: ErrorDetails = ErrorDetails()  # noqa: N815 their name

    @property
    def codes(self) -> tuple[str, ...]:
        """The outer code and the inputs' codes, or the service's code where there are none."""
        inner = (error.code for error in self.errorDetails.inputErrors)
        named = tuple(code for code in (self.code, *inner) if code)
        if self.status == HTTPStatus.FORBIDDEN and "resource is forbidden" in self.message.casefold():
            return (FORBIDDEN, *named)
        if not named and self.message.startswith(f"{SCHEMA_ERROR} ::"):
            return (SCHEMA_ERROR,)
        return named or (() if self.serviceErrorCode is None else (str(self.serviceErrorCode),))


class WholeUpload(Wire):
    """The upload address of an image or a document, its expiry (milliseconds since the epoch), and the file's URN."""

    uploadUrl: str = Field(repr=False)  # noqa: N815 their name
    uploadUrlExpiresAt: int | None = None  # noqa: N815 their name
    urn: str = Field(validation_alias=AliasChoices("image", "document"))


class StartedWhole(Wire):
    """The response to an upload request of an image or a document: ``{"value":{…}}``."""

    value: WholeUpload


class Part(Wire):
    """One part of a video: bytes ``firstByte`` to ``lastByte``, both included."""

    uploadUrl: str = Field(repr=False)  # noqa: N815 their name
    firstByte: int  # noqa: N815 their name
    lastByte: int  # noqa: N815 their name


class VideoUpload(Wire):
    """The upload addresses of a video's parts; the token is returned with the parts' ids."""

    uploadUrlsExpireAt: int | None = None  # noqa: N815 their name
    video: str
    uploadInstructions: tuple[Part, ...] = Field(min_length=1)  # noqa: N815 their name
    uploadToken: str = Field(default="", repr=False)  # noqa: N815 their name
    thumbnailUploadUrl: str = Field(default="", repr=False)  # noqa: N815 their name


class StartedVideo(Wire):
    """The response to a video upload request: ``{"value":{…}}``."""

    value: VideoUpload


class MediaStatus(Wire):
    """The processing status of an image, a video or a document."""

    status: MediaState
    processingFailureReason: str = ""  # noqa: N815 their name


class MediaRef(Wire):
    """An image, a video or a document in a post."""

    id: str = ""


class MultiImage(Wire):
    """Several images in a post."""

    images: tuple[MediaRef, ...] = ()


class Article(Wire):
    """The card of a link."""

    source: str = ""


class Content(Wire):
    """The media of a post, or the card of a link."""

    media: MediaRef | None = None
    article: Article | None = None
    multiImage: MultiImage | None = None  # noqa: N815 their name

    @property
    def urns(self) -> frozenset[str]:
        """Every image, video and document of the post."""
        one = (self.media,) if self.media else ()
        several = self.multiImage.images if self.multiImage else ()
        return frozenset(ref.id for ref in (*one, *several) if ref.id)


class Post(Wire):
    """A post, from a listing. Its times are milliseconds since the epoch."""

    id: str
    commentary: str = ""
    lifecycleState: str = "PUBLISHED"  # noqa: N815 their name
    createdAt: int | None = None  # noqa: N815 their name
    lastModifiedAt: int | None = None  # noqa: N815 their name
    content: Content | None = None


class Posts(Wire):
    """One page of an author's posts."""

    elements: tuple[Post, ...]


class Comment(Wire):
    """A comment on a post, from a list; its ``object`` may be an activity in place of the post."""

    id: str
    actor: str = ""
    text: str = Field("", validation_alias=AliasPath("message", "text"))
    time: int | None = Field(None, validation_alias=AliasPath("created", "time"))
    """When it was made, in milliseconds since the epoch."""


class CommentList(Wire):
    """One page of a post's comments."""

    elements: tuple[Comment, ...]


class Person(Wire):
    """The member's profile from OpenID Connect's ``userinfo``."""

    id: str = Field(alias="sub")
    name: str = ""


class Me(Wire):
    """The member's profile as ``r_basicprofile`` shows it; ``id`` is the last part of ``urn:li:person:…``."""

    id: str
    localizedFirstName: str = ""  # noqa: N815 their name
    localizedLastName: str = ""  # noqa: N815 their name

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.localizedFirstName} {self.localizedLastName}".strip()


class Role(Wire):
    """A member's role in one organization."""

    organization: str
    role: str = ""
    state: str = "APPROVED"


class Roles(Wire):
    """One page of a member's roles."""

    elements: tuple[Role, ...]
    total: int = Field(0, validation_alias=AliasPath("paging", "total"))
    """How many there are on all pages; 0 if LinkedIn does not say."""


class Organization(Wire):
    """An organization's names."""

    localizedName: str = ""  # noqa: N815 their name
    vanityName: str = ""  # noqa: N815 their name


class OAuthErrorBody(Wire):
    """An error of the token endpoint: ``{"error":"invalid_grant","error_description":"…"}``."""

    error: str = ""
    error_description: str = Field("", repr=False)
