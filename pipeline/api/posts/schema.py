"""The body of POST /posts: its model, and how it becomes a PostRequest.

Fingerprints of the body of POST /posts: equal requests have equal ones.

The canonical body is hashed: the parsed request without values that equal their default, null as absent, times in UTC,
ids in lower case, accounts as a set. A field that a later version adds is absent from older requests, so it changes no
stored fingerprint; a change of the rules needs a new form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, Discriminator, Field, Tag, create_model
from pydantic_core import to_json

from adapters.contract import Platform
from adapters.post_options import MAX_URL, PostOptions, at_most
from config.settings import Settings
from pipeline.api.http.validation import Body, build_invalid_payload, is_safe_text, validate_body
from pipeline.api.posts.field_types import (
    Caption,
    DateTime,
    EntityId,
    MediaUrl,
    OnLate,
    Rules,
    build_rules,
)
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.columns import build_columns
from pipeline.imports.validate import PostFormat
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import PostRequest
from pipeline.wiring import list_post_options

FORM = b"\x02"
"""The first byte of a fingerprint names its form."""


def hash_canonical(  # noqa: PLR0913  one keyword per field
    models: Mapping[Platform, type[PostOptions]],
    *,
    caption: str,
    media: Mapping[str, Any],
    account_ids: Collection[UUID],
    scheduled_at: datetime | None,
    music_url: str | None,
    options: Mapping[Platform, Mapping[str, Any]],
    ai_generated: bool,
    expires_at: datetime | None,
    on_late: str,
) -> bytes:
    """Return the fingerprint of the parsed fields. ``media`` and ``options`` hold no nulls."""
    body: dict[str, Any] = {
        "caption": caption,
        "media": _sort(media),
        "accounts": sorted([account.hex for account in account_ids]),
    }
    if scheduled_at is not None:
        body["scheduled_at"] = scheduled_at.astimezone(UTC).isoformat()
    if music_url is not None:
        body["music_url"] = music_url
    if expires_at is not None:
        body["expires_at"] = expires_at.astimezone(UTC).isoformat()
    if on_late != "publish":
        body["on_late"] = on_late
    if ai_generated:
        body["ai_generated"] = True
    for platform in sorted(options):
        if said := _drop_defaults(models[platform], options[platform]):
            body[platform] = _sort(said)
    return FORM + hashlib.sha256(to_json(body)).digest()


def _sort(section: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(sorted(section.items()))


def _drop_defaults(model: type[PostOptions], sent: Mapping[str, Any]) -> Mapping[str, Any]:
    defaults = model.defaults
    return {name: value for name, value in sent.items() if name not in defaults or value != defaults[name]}


MAX_ACCOUNTS, MAX_URLS = 10, 35
MAX_EXTERNAL_ID = 128
MAX_ALT_TEXT = 4086
"""The most that a platform takes, LinkedIn's; the others refuse less."""


AltTexts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_ALT_TEXT)] | None],
    Field(max_length=MAX_URLS),
    at_most(MAX_URLS),
]


Cover = Annotated[
    Annotated[Annotated[float, Field(ge=0, le=86_400)], Tag("seconds")] | Annotated[MediaUrl, Tag("url")],
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


Media = Annotated[Video | Slideshow, Field(discriminator="type")]


class AccountRef(Body):
    """One account to publish to."""

    id: EntityId


ExternalId = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID)]


class OptionsBody(Body):
    """A body with a section for each platform that has post options; ``add_options`` makes one."""

    tags = {"media": ("video", "slideshow"), "cover": ("seconds", "url")}  # noqa: RUF012
    option_models: ClassVar[Mapping[str, type[PostOptions]]] = {}
    """The models of the sections, by their names in the body."""
    models_by_platform: ClassVar[Mapping[Platform, type[PostOptions]]] = {}

    @classmethod
    def list_keys(cls, path: Sequence[str | int]) -> Sequence[str]:
        """Return the keys that an object may have at a place in the body."""
        models: Mapping[str, type[BaseModel]] = {
            "": cls,
            "accounts": AccountRef,
            "media.video": Video,
            "media.slideshow": Slideshow,
            **cls.option_models,
        }
        found = models.get(".".join(part for part in path if isinstance(part, str)))
        return tuple(found.model_fields) if found else ()


class _Opening(OptionsBody):
    caption: Caption
    media: Media
    accounts: Annotated[list[AccountRef], Field(max_length=MAX_ACCOUNTS), at_most(MAX_ACCOUNTS)]
    scheduled_at: DateTime | None = Field(None, description="With an offset. Default: publish at once.")
    music_url: str | None = Field(
        None, max_length=MAX_URL, description="Link of a TikTok post whose sound is used."
    )


AiGenerated = Annotated[
    bool | None,
    Field(
        description="Whether the media were made with AI: TikTok, Instagram and YouTube label the post. Default false."
    ),
]


class _Closing(OptionsBody):
    ai_generated: AiGenerated = None
    expires_at: DateTime | None = Field(
        None, description="From this time on the post is too late; see on_late."
    )
    on_late: OnLate | None = Field(None, description="Default publish.")
    external_id: ExternalId | None = Field(None, description="The client's own id: sent twice, posted once.")


class PostFields(_Closing, _Opening):
    """One post to one or more accounts, now or later. null counts as absent wherever a field is optional."""


OptionsModel = TypeVar("OptionsModel", bound=OptionsBody)


def add_options(
    fields: type[OptionsModel], name: str, options: Mapping[Platform, type[PostOptions]]
) -> type[OptionsModel]:
    """Return the model of a body: *fields* and a section per platform, between the fields of its two bases."""
    sections: dict[str, Any] = {platform.value: (model | None, None) for platform, model in options.items()}
    middle = create_model("_Sections", __base__=OptionsBody, **sections)
    closing, opening = fields.__bases__
    bases = (closing, middle, opening)
    built = cast("type[OptionsModel]", create_model(name, __base__=bases, __doc__=fields.__doc__))
    built.option_models = {platform.value: model for platform, model in options.items()}
    built.models_by_platform = dict(options)
    return built


PostBody = add_options(PostFields, "PostBody", list_post_options())
"""The body of POST /posts, with a section for each platform of the registry that has options."""


class _KeyHeader(Body):
    external_id: ExternalId = Field(alias="Idempotency-Key")


def read_post(
    body: Any,
    rules: Rules,
    idempotency_key: str | None = None,
    *,
    is_safe: bool = False,
    model: type[PostFields] = PostBody,
    request_id: str | None = None,
) -> PostRequest:
    """Parse the body of a new post. Raises Refusal 422 with everything that is wrong with it.

    ``is_safe``: its bytes show that the search for unsafe text would find nothing. ``request_id``: of the HTTP request.
    """
    post = validate_body(model, body, rules, is_safe=is_safe)
    options = list_sent_options(post)
    if found := [*find_conflicts(post, options, post.media), *_check_expiry(post)]:
        raise build_invalid_payload(found)
    external_id = post.external_id if post.external_id is not None else parse_key_header(idempotency_key)
    return _build_request(post, options, external_id, request_id)


SentOptions = Mapping[Platform, Mapping[str, Any] | None]
"""The sections that were sent; one that is null is None."""


def list_sent_options(body: OptionsBody) -> SentOptions:
    """Return the sections that were sent, without their nulls."""
    names = body.option_models.keys() & body.model_fields_set
    if not names:
        return {}
    return {body.option_models[name].platform: dump_sent(getattr(body, name)) for name in sorted(names)}


def _drop_nulls(options: SentOptions) -> dict[Platform, Mapping[str, Any]]:
    return {platform: section for platform, section in options.items() if section is not None}


def find_conflicts(
    body: OptionsBody, options: SentOptions, media: Video | Slideshow | None
) -> Iterator[dict[str, Any]]:
    """Find the issues that only several fields together have."""
    if media is not None and media.alt_texts is not None:
        files, texts = len(list_urls(media.model_dump())), len(media.alt_texts)
        if texts > files:
            message = f"One for each file at most: there are {texts}, and {files} in media."
            yield build_issue(("media", "alt_texts"), message, "exclusive")
    if not options or not (sent := _drop_nulls(options)):
        return
    alone = next((p for p in sent if body.option_models[p].accounts == "all"), None)
    other = next((p for p in sent if p != alone), None)
    if alone is not None and other is not None:
        message = f"{alone} and {other} cannot be sent together: make two posts."
        yield build_issue((other,), message, "exclusive")
    if media is None:
        return
    for platform, section in sent.items():
        for conflict in body.option_models[platform].find_media_conflicts(section, media.type):
            yield build_issue((platform, conflict.field), conflict.message, "exclusive", conflict.value)


def _check_expiry(post: PostFields) -> Iterator[dict[str, Any]]:
    if post.expires_at is not None and post.scheduled_at is not None and post.expires_at <= post.scheduled_at:
        yield build_issue(("expires_at",), "It must be later than scheduled_at.", "exclusive")


def parse_key_header(value: str | None) -> str | None:
    """Validate the Idempotency-Key header like ``external_id``."""
    if value is None:
        return None
    return validate_body(_KeyHeader, {"Idempotency-Key": value}).external_id


def _build_request(
    post: PostFields,
    options: SentOptions,
    external_id: str | None,
    request_id: str | None,
) -> PostRequest:
    fields: dict[str, Any] = {
        "caption": post.caption,
        "media": dump_sent(post.media) or {},
        "account_ids": list(dict.fromkeys(a.id for a in post.accounts)),
        "scheduled_at": post.scheduled_at,
        "music_url": post.music_url,
        "options": _drop_nulls(options) if options else {},
        "ai_generated": post.ai_generated or False,
        "expires_at": post.expires_at,
        "on_late": post.on_late or "publish",
    }
    return PostRequest(
        **fields,
        external_id=external_id,
        fingerprint=hash_canonical(post.models_by_platform, **fields),
        request_id=request_id,
    )


def dump_sent(section: BaseModel | None) -> dict[str, Any] | None:
    """Return a section as the client sent it, without nulls and absent fields."""
    return None if section is None else section.model_dump(exclude_unset=True, exclude_none=True)


def build_post_format(settings: Settings) -> PostFormat:
    """Return how these settings have posts read."""
    return PostFormat(
        read=partial(read_post, rules=build_rules(settings)),
        is_safe_text=is_safe_text,
        columns=build_columns(PostBody),
    )
