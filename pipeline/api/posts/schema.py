"""The body of POST /posts: what it may hold, and how it becomes a PostRequest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.api.posts.field_types import (
    MAX_URL,
    Caption,
    Identity,
    MediaUrl,
    Moment,
    Rules,
    WebUrl,
    at_most,
)
from pipeline.api.posts.unsafe_text import hostile
from pipeline.api.posts.validation_issue import MOST, issue, of_pydantic
from pipeline.stages.post_request import PostRequest, Refusal

ACCOUNTS, URLS, TAGS = 10, 35, 30
EXTERNAL_ID = 128


class Body(BaseModel):
    """Strict (no "5" for 5, no 1 for true), and nothing it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Media(Body):
    duration_sec: float | None = Field(None, gt=0, le=86_400, description="Seconds, where the client knows.")
    bytes: int | None = Field(None, gt=0, le=2**53)
    width: int | None = Field(None, gt=0, le=100_000, description="Pixels.")
    height: int | None = Field(None, gt=0, le=100_000, description="Pixels.")
    mime_type: str | None = Field(None, min_length=1, max_length=128)


class Video(_Media):
    """One video: a TikTok video, an Instagram Reel, a YouTube Short."""

    type: Literal["video"]
    url: MediaUrl


class Slideshow(_Media):
    """Images in order: TikTok photo mode, an Instagram carousel; a single one is each platform's image post."""

    type: Literal["slideshow"]
    urls: Annotated[list[MediaUrl], Field(min_length=1, max_length=URLS), at_most(URLS)]


class AccountRef(Body):
    """One account to publish to."""

    id: Identity


class TikTok(Body):
    """Choices for TikTok; only when all accounts are TikTok."""

    title: str | None = Field(None, max_length=150)
    description: str | None = Field(None, max_length=2200)
    post_mode: Literal["DIRECT_POST", "MEDIA_UPLOAD"] | None = Field(
        None,
        description="DIRECT_POST unless said otherwise; MEDIA_UPLOAD leaves a draft, of a slideshow only.",
    )
    privacy_level: (
        Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"] | None
    ) = Field(None, description="PUBLIC_TO_EVERYONE unless said otherwise.")
    disable_comment: bool | None = None
    disable_duet: bool | None = None
    disable_stitch: bool | None = None
    auto_add_music: bool | None = None
    is_commercial: bool | None = None
    is_branded_content: bool | None = None
    user_consent: bool | None = None
    is_your_brand: bool | None = None


class Pinterest(Body):
    """Choices for Pinterest; when at least one account is Pinterest."""

    board_id: str | None = Field(None, min_length=1, max_length=128)
    title: str | None = Field(None, max_length=100)
    link: WebUrl | None = None
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=TAGS), at_most(TAGS)
        ]
        | None
    ) = None


ExternalId = Annotated[str, Field(min_length=1, max_length=EXTERNAL_ID)]


class PostBody(Body):
    """One post to one or more accounts, now or later. null counts as absent wherever a field is optional."""

    caption: Caption
    media: Annotated[Video | Slideshow, Field(discriminator="type")]
    accounts: Annotated[list[AccountRef], Field(max_length=ACCOUNTS), at_most(ACCOUNTS)]
    scheduled_at: Moment | None = Field(None, description="With an offset. Left out: published at once.")
    music_url: str | None = Field(
        None, max_length=MAX_URL, description="Link of a TikTok post whose sound is meant."
    )
    tiktok: TikTok | None = None
    pinterest: Pinterest | None = None
    expires_at: Moment | None = Field(None, description="After this the post is late for good; see on_late.")
    on_late: Literal["publish", "skip", "hold"] | None = Field(
        None, description="publish unless said otherwise."
    )
    external_id: ExternalId | None = Field(None, description="The client's own id: sent twice, posted once.")


class _Header(Body):
    external_id: ExternalId


KEYS: Mapping[str, tuple[str, ...]] = {
    "": tuple(PostBody.model_fields),
    "accounts": tuple(AccountRef.model_fields),
    "tiktok": tuple(TikTok.model_fields),
    "pinterest": tuple(Pinterest.model_fields),
    "media.video": tuple(Video.model_fields),
    "media.slideshow": tuple(Slideshow.model_fields),
}
"""The keys of every object, by where it stands."""
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
TAGGED = {"media": ("video", "slideshow")}
"""Words that pydantic puts into the paths of its unions."""


def read_post(
    body: Any, rules: Rules, idempotency_key: str | None = None, *, harmless: bool = False
) -> PostRequest:
    """What the body asks for. Raises Refusal 422 with everything that is wrong with it.

    ``harmless``: its bytes show that ``hostile`` would find nothing in it.
    """
    if not isinstance(body, dict):
        raise invalid([issue((), "The body must be a JSON object.", "model_type")])
    if not harmless and (found := hostile(body)):
        raise invalid(found)
    try:
        post = PostBody.model_validate(body, context=rules)
    except ValidationError as error:
        raise invalid(of_pydantic(error.errors(include_url=False), TAGGED, _known)) from None
    if found := [*contradictions(post.media, post.tiktok, post.pinterest), *_too_early(post)]:
        raise invalid(found)
    external_id = post.external_id if post.external_id is not None else _header(idempotency_key)
    return _request(post, body, external_id)


def invalid(issues: Sequence[Mapping[str, Any]]) -> Refusal:
    """The 422 that lists these issues; its message is the first of them."""
    first, more = issues[0], len(issues) - 1
    where = f"{first['path']}: " if first["path"] else ""
    tail = f" (and {more} more)" if more else ""
    return Refusal(422, "invalid_payload", f"{where}{first['message']}{tail}", issues[:MOST])


def fingerprint(body: Mapping[str, Any]) -> bytes:
    """SHA-256 of the body in one canonical spelling, without the id it is filed under."""
    rest = {name: value for name, value in body.items() if name != "external_id"}
    return hashlib.sha256(_CANONICAL.encode(rest).encode()).digest()


def _known(loc: Sequence[str | int]) -> Sequence[str]:
    return KEYS.get(".".join(part for part in loc if isinstance(part, str)), ())


def contradictions(
    media: Video | Slideshow | None, tiktok: TikTok | None, pinterest: Pinterest | None
) -> Iterator[dict[str, Any]]:
    """What is wrong only when sections are seen together."""
    if tiktok is not None and pinterest is not None:
        yield issue(
            ("pinterest",), "tiktok and pinterest cannot be sent together: make two posts.", "exclusive"
        )
    draft = tiktok is not None and tiktok.post_mode == "MEDIA_UPLOAD"
    if draft and media is not None and media.type == "video":
        yield issue(
            ("tiktok", "post_mode"),
            "MEDIA_UPLOAD takes a slideshow only, and media is a video.",
            "exclusive",
            "MEDIA_UPLOAD",
        )


def _too_early(post: PostBody) -> Iterator[dict[str, Any]]:
    if post.expires_at is not None and post.scheduled_at is not None and post.expires_at <= post.scheduled_at:
        yield issue(("expires_at",), "It must be later than scheduled_at.", "exclusive")


def _header(value: str | None) -> str | None:
    """The Idempotency-Key header, held to the rules of external_id."""
    if value is None:
        return None
    if found := hostile({"Idempotency-Key": value}):
        raise invalid(found)
    try:
        return _Header.model_validate({"external_id": value}).external_id
    except ValidationError as error:
        issues = of_pydantic(error.errors(include_url=False), {}, _known)
        raise invalid([{**one, "path": "Idempotency-Key"} for one in issues]) from None


def _request(post: PostBody, body: Mapping[str, Any], external_id: str | None) -> PostRequest:
    return PostRequest(
        caption=post.caption,
        media=as_sent(post.media) or {},
        account_ids=list(dict.fromkeys(a.id for a in post.accounts)),
        scheduled_at=post.scheduled_at,
        music_url=post.music_url,
        tiktok=as_sent(post.tiktok),
        pinterest=as_sent(post.pinterest),
        expires_at=post.expires_at,
        on_late=post.on_late or "publish",
        external_id=external_id,
        body_sha256=fingerprint(body),
    )


def as_sent(section: Body | None) -> dict[str, Any] | None:
    """A section as the client wrote it, without what it left out or sent as null."""
    return None if section is None else section.model_dump(exclude_unset=True, exclude_none=True)
