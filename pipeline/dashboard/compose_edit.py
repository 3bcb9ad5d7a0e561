"""The form of a post that is stored: its fields for an edit or a copy, the change that they ask for, and what differs.

An edit sends only what was changed in the form, and names the version that its author saw. What the form has no field
for (media, options and a time of single accounts) travels along in ``rest.ACCOUNT``, as an entry of a request has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.actions.post_changes import Change
from pipeline.dashboard.clock import format_wall_time
from pipeline.dashboard.compose_form import OWN, PLAIN, REST, Fields, PostForm
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.domain.post import NO_TIME
from pipeline.imports.apply import choose_changes
from pipeline.imports.cells import format_row
from pipeline.imports.columns import MEDIA_TYPE, Columns
from pipeline.imports.export import build_body
from pipeline.runtime.context import Context
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import PostRequest
from pipeline.stages.post_state import compute_version
from pipeline.store.posts.views import PostView, read_post

_GROUPS: Mapping[str, str] = {
    "url": "media",
    "alt": "media",
    MEDIA_TYPE: "media",
    "account": "accounts",
    "when": "scheduled_at",
    "local_time": "scheduled_at",
}
NAMES: Mapping[str, str] = {
    "caption": "Words",
    "media": "Files",
    "accounts": "Accounts",
    "scheduled_at": "Time",
    "first_comment": "First comment",
    "music_url": "Sound",
    "ai_generated": "Made with AI",
}
"""What fields of a change are called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVersion:
    """A post as it is now, for a form that edits it."""

    fields: Fields
    tag: str
    is_draft: bool
    differs: Mapping[str, str]
    """What is another than in the form, by its name: as it is now."""


def build_fields(
    context: Context, view: PostView, columns: Columns, zone: ZoneInfo, *, is_copy: bool
) -> dict[str, list[str]]:
    """Return the fields of a form for a stored post; of a copy, which is due a day later, from tomorrow on."""
    body = build_body(view)
    names = [n for n in columns.by_name if n in PLAIN or n.partition(".")[0] in [*Platform]]
    cells = zip(names, format_row(columns, names, body), strict=True)
    fields = {name: [cell] for name, cell in cells if cell}
    urls, texts = list_urls(view.media), view.media.get("alt_texts") or ()
    fields |= {"url": urls, "alt": [str(texts[n] or "") if n < len(texts) else "" for n in range(len(urls))]}
    if len(urls) == 1 and context.files.addresses.parse_name(urls[0]) is None:
        fields[MEDIA_TYPE] = [view.media["type"]]
    fields["account"] = [one["id"] for one in body["accounts"]]
    for entry in body["accounts"]:
        said = {name: value for name, value in entry.items() if name != "id"}
        if words := said.pop("caption", None):
            fields[OWN + entry["id"]] = [words]
        if is_copy:
            said.pop("scheduled_at", None)
        if said:
            fields[REST + entry["id"]] = [json.dumps(said)]
    due = _move_on(view, zone) if is_copy else view.base_due_at
    local = "" if due >= NO_TIME else format_wall_time(due, zone)[:16]
    return {name: values for name, values in fields.items() if values} | {
        "when": ["at"],
        "local_time": [local],
    }


def _move_on(view: PostView, zone: ZoneInfo) -> datetime:
    """Return the same wall time on the day after the post's, or on the first one that is to come."""
    due, now = view.base_due_at, view.now
    if due >= NO_TIME:
        return due
    day = max(due.astimezone(zone).date(), now.astimezone(zone).date()) + timedelta(days=1)
    return datetime.combine(day, due.astimezone(zone).time(), zone)


def find_stored(
    c: Connection, context: Context, form: PostForm, columns: Columns, zone: str
) -> StoredVersion | None:
    """Return the post that a form edits as it is now; None for a form of a new post."""
    post = parse_id_or_none(form.get("post"))
    view = read_post(c, form.workspace, post) if post else None
    if view is None:
        return None
    now = build_fields(context, view, columns, ZoneInfo(zone), is_copy=False)
    tag, is_draft = compute_version(view), view.base_due_at >= NO_TIME
    is_same = tag.partition("-")[0] == form.get("etag").strip('"').partition("-")[0]
    names = set() if is_same else find_changed(now, form.fields)
    return StoredVersion(
        fields=now,
        tag=f'"{tag}"',
        is_draft=is_draft,
        differs={} if is_same else dict(_describe(now, names)) or {"The post": "another version"},
    )


def _describe(fields: Fields, names: set[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(names):
        shown = {"media": "url", "accounts": "account", "scheduled_at": "local_time"}.get(name, name)
        values = [*fields.get(shown, ())]
        said = str(len(values)) if shown in ("url", "account") else " ".join(values)
        yield NAMES.get(name, name.capitalize()), said.replace("T", " ", 1) if shown == "local_time" else said


def find_changed(before: Fields, after: Fields) -> set[str]:
    """Return what differs between two forms, by the fields of a change; a section of options by its platform."""
    names = {*before, *after} - {"post", "etag"}
    return {_group(name) for name in names if _read(before, name) != _read(after, name)}


def _read(fields: Fields, name: str) -> list[str]:
    values = [*fields.get(name, ())]
    return values if any(values) else []


def _group(name: str) -> str:
    root = name.partition(".")[0]
    return "accounts" if name.startswith((OWN, REST)) else _GROUPS.get(name, root)


def build_change(request: PostRequest, changed: set[str], *, schedules: bool) -> Change:
    """Return the change that a form asks for: the fields that were changed, with the values of its request."""
    platforms = [one for one in Platform if one in changed]
    return replace(choose_changes(request, changed - {*platforms}, platforms), schedules=schedules)
