"""The body of POST /posts: its model, and how it becomes a PostRequest.

Fingerprints of the body of POST /posts: equal requests have equal ones.

The canonical body is hashed: the parsed request without values that equal their default, null as absent, times in UTC,
ids in lower case, accounts as a set: their ids, or an object where an entry has content of its own. A field that a
later version adds is absent from older requests, so it changes no stored fingerprint; a change of the rules needs a new
form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Annotated, Any, ClassVar, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, Field, create_model
from pydantic_core import to_json

from adapters.contract import Platform
from adapters.post_options import MAX_URL, PostOptions, at_most
from config.settings import Settings
from pipeline.api.http.validation import Body, build_invalid_payload, is_safe_text, validate_body
from pipeline.api.posts.account_entries import (
    AccountRef,
    SentOptions,
    canonize_entry,
    drop_defaults,
    drop_nulls,
    find_entry_conflicts,
    read_entries,
)
from pipeline.api.posts.field_types import (
    Caption,
    DateTime,
    FirstComment,
    OnLate,
    Rules,
    TimeOrAuto,
    build_rules,
    dump_sent,
    sort_keys,
    split_time,
)
from pipeline.api.posts.media_types import (
    Document,
    Media,
    Slideshow,
    Text,
    Video,
    find_surplus_texts,
)
from pipeline.domain.own_content import OwnContent
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.columns import Columns, build_columns
from pipeline.imports.validate import PostFormat
from pipeline.stages.post_request import PostRequest
from pipeline.wiring import list_post_options

FORM = b"\x02"
"""The first byte of a fingerprint names its form."""


def hash_canonical(models: Mapping[Platform, type[PostOptions]], fields: Mapping[str, Any]) -> bytes:
    """Return the fingerprint of the parsed fields of a post. Its media and options hold no nulls."""
    own: Mapping[UUID, OwnContent] = fields["own"]
    options: Mapping[Platform, Mapping[str, Any]] = fields["options"]
    body: dict[str, Any] = {
        "caption": fields["caption"],
        "media": sort_keys(fields["media"]),
        "accounts": [
            canonize_entry(models, account, own[UUID(account)]) if own and UUID(account) in own else account
            for account in sorted([account.hex for account in fields["account_ids"]])
        ],
    }
    auto, on_late = fields["auto"], fields["on_late"]
    plain = {
        "scheduled_at": _write_time(fields["scheduled_at"]) if auto is None else str(auto),
        "music_url": fields["music_url"],
        "expires_at": _write_time(fields["expires_at"]),
        "on_late": None if on_late == "publish" else on_late,
        "ai_generated": fields["ai_generated"] or None,
        "first_comment": fields["first_comment"],
        "draft": fields["draft"] or None,
    }
    body |= {name: value for name, value in plain.items() if value is not None}
    for platform in sorted(options):
        if said := drop_defaults(models[platform], options[platform]):
            body[platform] = sort_keys(said)
    return FORM + hashlib.sha256(to_json(body)).digest()


def _write_time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()


MAX_ACCOUNTS = 10
MAX_EXTERNAL_ID = 128


ExternalId = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID)]


class OptionsBody(Body):
    """A body with a section for each platform that has post options; ``add_options`` makes one."""

    tags = {"media": ("video", "slideshow", "text", "document"), "cover": ("seconds", "url")}  # noqa: RUF012
    option_models: ClassVar[Mapping[str, type[PostOptions]]] = {}
    """The models of the sections, by their names in the body."""
    models_by_platform: ClassVar[Mapping[Platform, type[PostOptions]]] = {}

    @classmethod
    def list_keys(cls, path: Sequence[str | int]) -> Sequence[str]:
        """Return the keys that an object may have at a place in the body."""
        models: dict[str, type[BaseModel]] = {
            "": cls,
            "media.video": Video,
            "media.slideshow": Slideshow,
            "media.text": Text,
            "media.document": Document,
            **cls.option_models,
        }
        models |= {f"accounts.{name}": model for name, model in models.items() if name}
        models["accounts"] = AccountRef
        found = models.get(".".join(part for part in path if isinstance(part, str)))
        return tuple(found.model_fields) if found else ()


class _Opening(OptionsBody):
    caption: Caption
    media: Media
    accounts: Annotated[list[AccountRef], Field(max_length=MAX_ACCOUNTS), at_most(MAX_ACCOUNTS)]
    scheduled_at: TimeOrAuto | None = Field(
        None,
        description="With an offset, or auto: each account's next free posting time. Default: publish at once.",
    )
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
    first_comment: FirstComment | None = Field(
        None, description="What each account says below its post once it is live."
    )
    draft: bool | None = Field(
        None,
        description="true: store and check it without a time; `POST /posts/{id}/schedule` sends it on its way.",
    )
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


def list_sent_options(body: OptionsBody) -> SentOptions:
    """Return the sections that were sent, without their nulls."""
    names = body.option_models.keys() & body.model_fields_set
    if not names:
        return {}
    return {body.option_models[name].platform: dump_sent(getattr(body, name)) for name in sorted(names)}


def find_conflicts(body: OptionsBody, options: SentOptions, media: Media | None) -> Iterator[dict[str, Any]]:
    """Find the issues that only several fields together have."""
    if getattr(media, "alt_texts", None):
        yield from find_surplus_texts(media, ())
    entries = getattr(body, "accounts", None) or ()
    if has_content(entries):
        yield from find_entry_conflicts(entries, options, media)
    if not options or not (sent := drop_nulls(options)):
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
    times = [post.scheduled_at, *(entry.scheduled_at for entry in post.accounts)]
    dues = [time for time in times if isinstance(time, datetime)]
    if post.expires_at is not None and any(post.expires_at <= time for time in dues):
        yield build_issue(("expires_at",), "It must be later than scheduled_at.", "exclusive")
    if post.draft and any(time is not None for time in times):
        message = "A draft has no time: leave out scheduled_at, and schedule it by POST /posts/{id}/schedule."
        yield build_issue(("draft",), message, "exclusive")


def has_content(entries: Sequence[Any]) -> bool:
    """Return True if an entry of ``accounts`` carries more than its id; most do not."""
    return any(len(entry.model_fields_set) > 1 for entry in entries)


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
        "own": read_entries(post.accounts) if has_content(post.accounts) else {},
        **split_time(post.scheduled_at),
        "music_url": post.music_url,
        "options": drop_nulls(options) if options else {},
        "ai_generated": post.ai_generated or False,
        "first_comment": post.first_comment,
        "expires_at": post.expires_at,
        "on_late": post.on_late or "publish",
        "draft": post.draft or False,
    }
    return PostRequest(
        **fields,
        external_id=external_id,
        fingerprint=hash_canonical(post.models_by_platform, fields),
        request_id=request_id,
    )


@cache
def build_known_columns() -> Columns:
    """Return every column that a file of posts may have."""
    return build_columns(PostBody)


def build_post_format(settings: Settings) -> PostFormat:
    """Return how these settings have posts read."""
    rules = build_rules(settings)
    return PostFormat(
        read=partial(read_post, rules=rules),
        is_safe_text=is_safe_text,
        columns=build_known_columns(),
        max_caption=rules.caption,
    )
