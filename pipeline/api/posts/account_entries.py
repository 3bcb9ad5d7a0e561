"""Entries of ``accounts`` in a request: an account, and what is published there instead of what the post says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any, cast
from uuid import UUID

from pydantic import Field, create_model

from adapters.contract import Platform
from adapters.post_options import PostOptions
from pipeline.api.http.validation import Body
from pipeline.api.posts.field_types import (
    Caption,
    EntityId,
    FirstComment,
    TimeOrAuto,
    dump_sent,
    sort_keys,
    split_time,
)
from pipeline.api.posts.media_types import Media, find_surplus_texts
from pipeline.domain.own_content import OwnContent, place_media
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.drafts import list_urls
from pipeline.wiring import list_post_options

MAX_FILES = 100
"""Files in the entries of one post together: each is checked."""


class _EntryFields(Body):
    """One account to publish to. What its entry leaves out is the post's; a section is its platform's own."""

    id: EntityId
    caption: Caption | None = Field(None, description="Of this account only. Default: the post's.")
    media: Media | None = Field(
        None,
        description=f"Of this account only. Default: the post's. All entries together have {MAX_FILES} files at most.",
    )
    first_comment: FirstComment | None = Field(None, description="Of this account only. Default: the post's.")
    scheduled_at: TimeOrAuto | None = Field(
        None,
        description="Of this account only, with an offset, or auto: its next free posting time. Default: the post's.",
    )


_SECTIONS = list_post_options()
"""The options models of the platforms that have them."""
AccountRef = create_model(
    "AccountRef",
    __base__=_EntryFields,
    __doc__=_EntryFields.__doc__,
    **cast("dict[str, Any]", {platform.value: (model | None, None) for platform, model in _SECTIONS.items()}),
)


SentOptions = Mapping[Platform, Mapping[str, Any] | None]
"""The sections that were sent; one that is null is None."""


def drop_nulls(options: SentOptions) -> dict[Platform, Mapping[str, Any]]:
    """Return the sections that are there."""
    return {platform: section for platform, section in options.items() if section is not None}


def find_entry_conflicts(
    entries: Sequence[Any], options: SentOptions, media: Media | None
) -> Iterator[dict[str, Any]]:
    """Find the issues of entries of accounts: among themselves, and with the sections and media of the post."""
    if all(entry.model_fields_set == {"id"} for entry in entries):
        return
    files = sum(len(list_urls(entry.media.model_dump())) for entry in entries if entry.media)
    if files > MAX_FILES:
        message = f"All entries together have {MAX_FILES} files at most; there are {files}."
        yield build_issue(("accounts",), message, "too_long", files)
    named: dict[UUID, OwnContent | None] = {}
    sections = {*drop_nulls(options), *(platform for entry in entries for platform in _read_sections(entry))}
    for n, entry in enumerate(entries):
        own = _read_own(entry)
        if named.setdefault(entry.id, own) != own:
            message = "It is named twice with different content: send one entry for each account."
            yield build_issue(("accounts", n, "id"), message, "exclusive", str(entry.id))
        yield from find_surplus_texts(entry.media, ("accounts", n))
        shown = entry.media or media
        for platform, section in () if own is None else own.options.items():
            if other := next(iter(sorted(o for o in sections if _exclude(platform, o))), None):
                message = f"{platform} and {other} cannot be sent together: make two posts."
                yield build_issue(("accounts", n, platform), message, "exclusive")
            conflicts = _SECTIONS[platform].find_media_conflicts(section, shown.type) if shown else ()
            for conflict in conflicts:
                path = ("accounts", n, platform, conflict.field)
                yield build_issue(path, conflict.message, "exclusive", conflict.value)


def _exclude(one: Platform, other: Platform) -> bool:
    return other in _SECTIONS[one].excludes or one in _SECTIONS[other].excludes


def _read_sections(entry: Any) -> Mapping[Platform, Mapping[str, Any]]:
    """Return the sections of an entry as they were sent, without their nulls."""
    sent = {
        platform: dump_sent(getattr(entry, platform))
        for platform in _SECTIONS
        if platform in entry.model_fields_set
    }
    return drop_nulls(sent)


def _read_own(entry: Any) -> OwnContent | None:
    """Return what an entry carries; None: nothing but its account."""
    if entry.model_fields_set == {"id"}:
        return None
    own = OwnContent(
        caption=entry.caption,
        media=dump_sent(entry.media),
        first_comment=entry.first_comment,
        options=_read_sections(entry),
        **split_time(entry.scheduled_at),
    )
    return own if own.fields else None


def read_entries(entries: Sequence[Any]) -> Mapping[UUID, OwnContent]:
    """Return what the entries of accounts carry of their own, by account; most carry nothing."""
    found = {entry.id: own for entry in entries if (own := _read_own(entry)) is not None}
    return place_media(found) if found else {}


def canonize_entry(
    models: Mapping[Platform, type[PostOptions]], account: str, own: OwnContent
) -> Mapping[str, Any]:
    """Return the entry of an account with content of its own; one without is its id."""
    at = None if own.scheduled_at is None else own.scheduled_at.astimezone(UTC).isoformat()
    entry: dict[str, Any] = {
        "id": account,
        "caption": own.caption,
        "media": None if own.media is None else sort_keys(own.media),
        "first_comment": own.first_comment,
        "scheduled_at": at if own.auto is None else str(own.auto),
    }
    entry = {name: value for name, value in entry.items() if value is not None}
    sections = {p: sort_keys(drop_defaults(models[p], own.options[p])) for p in sorted(own.options)}
    return entry | {platform.value: section for platform, section in sections.items()}


def drop_defaults(model: type[PostOptions], sent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a section without the values that mean the same as an absent one."""
    defaults = model.defaults
    return {name: value for name, value in sent.items() if name not in defaults or value != defaults[name]}
