"""LinkedIn's JSON, as far as we read it. Keys we do not know are ignored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MediaState = Literal["WAITING_UPLOAD", "PROCESSING", "AVAILABLE", "PROCESSING_FAILED"]


class Wire(BaseModel):
    """Lenient on keys; its validation errors never repeat what was read."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class InputError(Wire):
    """One entry of ``errorDetails.inputErrors``."""

    code: str = ""


class ErrorDetails(Wire):
    """Where a 422 has its code."""

    inputErrors: tuple[InputError, ...] = ()  # noqa: N815 their name


class Fault(Wire):
    """``{"status":403,"code":"ACCESS_DENIED","message":"…","serviceErrorCode":100}``."""

    code: str = ""
    message: str = ""
    errorDetails: ErrorDetails = ErrorDetails()  # noqa: N815 their name

    @property
    def codes(self) -> tuple[str, ...]:
        """The outer code and those of the inputs."""
        inner = (error.code for error in self.errorDetails.inputErrors)
        return tuple(code for code in (self.code, *inner) if code)


class ImageUpload(Wire):
    """Where an image's bytes go, until when (milliseconds since the epoch), and what it will be called."""

    uploadUrl: str = Field(repr=False)  # noqa: N815 their name
    uploadUrlExpiresAt: int | None = None  # noqa: N815 their name
    image: str


class ImageStarted(Wire):
    """``{"value":{…}}``."""

    value: ImageUpload


class Part(Wire):
    """One part of a video: bytes ``firstByte`` to ``lastByte``, both included."""

    uploadUrl: str = Field(repr=False)  # noqa: N815 their name
    firstByte: int  # noqa: N815 their name
    lastByte: int  # noqa: N815 their name


class VideoUpload(Wire):
    """Where a video's parts go; the token goes back with the parts' ids."""

    uploadUrlsExpireAt: int | None = None  # noqa: N815 their name
    video: str
    uploadInstructions: tuple[Part, ...] = Field(min_length=1)  # noqa: N815 their name
    uploadToken: str = Field(default="", repr=False)  # noqa: N815 their name


class VideoStarted(Wire):
    """``{"value":{…}}``."""

    value: VideoUpload


class MediaStatus(Wire):
    """How far an image or a video is processed."""

    status: MediaState
    processingFailureReason: str = ""  # noqa: N815 their name


class MediaRef(Wire):
    """An image or a video in a post."""

    id: str = ""


class MultiImage(Wire):
    """Several images in a post."""

    images: tuple[MediaRef, ...] = ()


class Content(Wire):
    """What a post shows beside its text."""

    media: MediaRef | None = None
    multiImage: MultiImage | None = None  # noqa: N815 their name

    @property
    def urns(self) -> frozenset[str]:
        """Every image and video of the post."""
        one = (self.media,) if self.media else ()
        several = self.multiImage.images if self.multiImage else ()
        return frozenset(ref.id for ref in (*one, *several) if ref.id)


class Post(Wire):
    """A post as a listing shows it."""

    id: str
    commentary: str = ""
    lifecycleState: str = "PUBLISHED"  # noqa: N815 their name
    content: Content | None = None


class Posts(Wire):
    """One page of an author's posts."""

    elements: tuple[Post, ...] = ()


class Person(Wire):
    """OpenID Connect's ``userinfo``."""

    id: str = Field(alias="sub")
    name: str = ""
    email: str | None = Field(default=None, repr=False)


class Me(Wire):
    """The member's own profile, as ``r_basicprofile`` shows it; ``id`` is the one in ``urn:li:person:…``."""

    id: str
    localizedFirstName: str = ""  # noqa: N815 their name
    localizedLastName: str = ""  # noqa: N815 their name

    @property
    def name(self) -> str:
        """Both names, as a person writes them."""
        return f"{self.localizedFirstName} {self.localizedLastName}".strip()


class Role(Wire):
    """What the person may do for one organization."""

    organization: str
    role: str = ""
    state: str = "APPROVED"


class Roles(Wire):
    """One page of the person's roles."""

    elements: tuple[Role, ...] = ()


class Organization(Wire):
    """An organization's names."""

    localizedName: str = ""  # noqa: N815 their name
    vanityName: str = ""  # noqa: N815 their name


class OAuthFault(Wire):
    """``{"error":"invalid_grant","error_description":"…"}``."""

    error: str = ""
