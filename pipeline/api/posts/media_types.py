"""The media of a post as a request has them: a video, images in order, a document, or none for a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from adapters.post_options import at_most
from pipeline.api.http.validation import Body
from pipeline.api.posts.field_types import MediaUrl, VisibleText
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.drafts import list_urls

MAX_URLS = 35
MAX_TITLE = 400  # ours: LinkedIn's page names no longest title
MAX_ALT_TEXT = 4086
"""The most that a platform takes, LinkedIn's; the others refuse less."""


AltTexts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_ALT_TEXT)] | None],
    Field(max_length=MAX_URLS),
    at_most(MAX_URLS),
]


Cover = Annotated[
    Annotated[Annotated[float, Field(ge=0, le=86_400, title="Seconds")], Tag("seconds")]
    | Annotated[Annotated[MediaUrl, Field(title="URL of an image")], Tag("url")],
    Discriminator(lambda value: "url" if isinstance(value, str) else "seconds"),
]


class _Media(Body):
    duration_sec: float | None = Field(None, gt=0, le=86_400, description="Seconds, where the client knows.")
    bytes: int | None = Field(None, gt=0, le=2**53)
    width: int | None = Field(None, gt=0, le=100_000, description="Pixels.")
    height: int | None = Field(None, gt=0, le=100_000, description="Pixels.")
    mime_type: str | None = Field(None, min_length=1, max_length=128)
    alt_texts: AltTexts | None = Field(
        None,
        description="What each file shows, in their order, for people who cannot see it; null: none of this one.",
    )


class Video(_Media):
    """One video: a TikTok video, an Instagram Reel, a YouTube Short."""

    type: Literal["video"]
    url: MediaUrl
    cover: Cover | None = Field(
        None, description="What stands for the video: a moment of it, in seconds, or the URL of an image."
    )


class Slideshow(_Media):
    """Images in order: TikTok photo mode, an Instagram carousel; a single one is each platform's image post."""

    type: Literal["slideshow"]
    urls: Annotated[list[MediaUrl], Field(min_length=1, max_length=MAX_URLS), at_most(MAX_URLS)]
    fit: Literal["pad", "crop"] | None = Field(
        None,
        description="Make images of a shape that a platform refuses fit: by white borders, or by cutting edges off. "
        "Default: such a post is refused.",
    )


class Text(Body):
    """No file, the caption alone: a post of LinkedIn or Facebook, whose section may add a link."""

    type: Literal["text"]


class Document(Body):
    """One PDF, which LinkedIn shows page by page."""

    type: Literal["document"]
    url: MediaUrl
    title: VisibleText = Field(
        min_length=1, max_length=MAX_TITLE, description="The name that the document is shown with."
    )


Media = Annotated[Video | Slideshow | Text | Document, Field(discriminator="type")]


def find_surplus_texts(media: Media | None, where: Sequence[str | int]) -> Iterator[dict[str, Any]]:
    """Find alternative texts of files that are not there. *where*: the path of what has the media."""
    if isinstance(media, Video | Slideshow) and media.alt_texts is not None:
        files, texts = len(list_urls(media.model_dump())), len(media.alt_texts)
        if texts > files:
            message = f"One for each file at most: there are {texts}, and {files} in media."
            yield build_issue((*where, "media", "alt_texts"), message, "exclusive")
