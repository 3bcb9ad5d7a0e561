"""The fields of the form of a post, and what they say: the body that POST /posts takes, and where its problems stand.

A field is named as the column of a file of posts is (``imports/columns.py``), so that a form is read as a row is. Some
are the form's own: ``url`` and ``alt``, once for each file in order, ``own.ACCOUNT``, the words of one account, and
``rest.ACCOUNT``, JSON of what else it has of its own.

An edit sends only what was changed in the form, and names the version that its author saw. What the form has no field
for (media, options and a time of single accounts) travels along in ``rest.ACCOUNT``, as an entry of a request has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from adapters.contract import Adapter, Platform
from pipeline.actions.post_changes import Change
from pipeline.dashboard.clock import format_wall_time
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.domain import strict_json
from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import NO_TIME
from pipeline.imports import export
from pipeline.imports.apply import choose_changes
from pipeline.imports.cells import format_row
from pipeline.imports.columns import ACCOUNTS, MEDIA_TYPE, MEDIA_URLS, SCHEDULED_AT, Columns
from pipeline.imports.read import read_cells
from pipeline.runtime.context import Context
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import PostContent, PostRequest
from pipeline.stages.post_state import compute_version
from pipeline.store.posts.views import PostView, read_post

Fields = Mapping[str, Sequence[str]]
"""The values of each field, in the order of the form."""
OWN, REST, TEXT = "own.", "rest.", "text"
GROUP_NAME = "group_name."
CONTROL = frozenset({"csrf", "form", "version", "tab", "do", "anyway", "find", "address", "from"})
"""Fields that say nothing about the post."""
WHENS = ("now", "next", "at")
PLAIN = ("caption", "media.cover", "media.fit", "media.title", "first_comment", "ai_generated", "music_url")
"""Columns that a form has for posts to whatever platform."""
_ENTRY = re.compile(r"accounts(?:\.(\d+)|\[([0-9a-f-]{36})\])(?:\.(\w+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class FormProblem:
    """What is wrong with a field, or is to be known about it. ``place``: the name of the field, or of a section."""

    place: str
    message: str
    is_refusal: bool = True
    account: UUID | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """An option of a platform, as a field: its column, what it may be, and a hint."""

    name: str
    label: str
    hint: str
    values: Sequence[str] = ()
    """The words that it may be; none: a text."""
    most: int | None = None


@dataclass(frozen=True, kw_only=True)
class PostForm:
    """What a form of a workspace holds."""

    workspace: UUID
    fields: Fields = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return the first value of a field; "" without one."""
        return next(iter(self.fields.get(name, ())), "")

    @property
    def accounts(self) -> list[str]:
        """The ids of the chosen accounts, in the order of the form."""
        return list(dict.fromkeys(self.fields.get("account", ())))

    @property
    def urls(self) -> list[str]:
        """The addresses of the files, in order."""
        return [url.strip() for url in self.fields.get("url", ()) if url.strip()]

    @property
    def when(self) -> str:
        """Which of `WHENS` is chosen."""
        return self.get("when") if self.get("when") in WHENS else "at"

    def own(self, account: str) -> str:
        """Return the words of one account; "" where it has the post's."""
        return self.get(OWN + account)


def read_fields(items: Iterable[tuple[str, Any]]) -> dict[str, list[str]]:
    """Return the fields of a form that say something about the post."""
    found: dict[str, list[str]] = {}
    for name, value in items:
        if name not in CONTROL and not name.startswith(GROUP_NAME) and isinstance(value, str):
            # browsers send the ends of lines as CR LF
            found.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return found


def build_body(
    form: PostForm, columns: Columns, kinds: Mapping[str, str], zone: str, *, draft: bool = False
) -> tuple[dict[str, Any], list[FormProblem]]:
    """Return the body of a post, and the fields that cannot be read. *kinds*: media types of files, by URL."""
    cells = dict(_list_cells(form, columns, kinds, zone, draft=draft))
    _, body, _, issues = read_cells(columns, cells, zone)
    problems = [
        FormProblem(place=find_place(form, str(i["path"])), message=str(i["message"])) for i in issues
    ]
    return body, problems


def _list_cells(
    form: PostForm, columns: Columns, kinds: Mapping[str, str], zone: str, *, draft: bool
) -> Iterator[tuple[str, str]]:
    for name in columns.by_name:
        if (name in PLAIN or name.partition(".")[0] in [*Platform]) and (value := form.get(name)):
            yield name, value
    yield ACCOUNTS, json.dumps([_build_entry(form, one) for one in form.accounts])
    yield MEDIA_URLS, json.dumps(form.urls) if form.urls else ""
    alts = form.fields.get("alt", ())
    if any(alts) and len(alts) == len(form.urls):
        yield "media.alt_texts", json.dumps([text or None for text in alts])
    yield MEDIA_TYPE, _find_media_type(form, kinds)
    if draft:
        yield "draft", "true"
    elif form.when == "at":
        yield from (("local_time", form.get("local_time")), ("time_zone", zone))
    else:
        yield SCHEDULED_AT, {"now": "now", "next": "auto"}[form.when]


def _build_entry(form: PostForm, account: str) -> Mapping[str, Any]:
    own, said = form.own(account), _read_rest(form.get(REST + account))
    return {**said, "id": account, **({"caption": own} if own.strip() else {})}


def _read_rest(text: str) -> Mapping[str, Any]:
    """Return what an account has of its own beside its words; nothing of a text that this page did not write."""
    try:
        said = strict_json.parse(text.encode()) if text else {}
    except strict_json.InvalidJson:
        return {}
    return said if isinstance(said, dict) else {}


def _find_media_type(form: PostForm, kinds: Mapping[str, str]) -> str:
    """Return the type of the media; "" where the names of the files have to tell."""
    if not form.urls:
        return TEXT
    if asked := form.get(MEDIA_TYPE):
        return asked
    known = [kinds[url].partition("/")[0] for url in form.urls if url in kinds]
    if not known or len(form.urls) > 1:
        return "slideshow" if len(form.urls) > 1 else ""
    return {"video": "video", "image": "slideshow"}.get(known[0], "document")


def guess_content(body: Mapping[str, Any]) -> PostContent:
    """Return what a body says so far, for a preview: what cannot be read is missing."""
    entries = [one for one in body.get(ACCOUNTS) or () if "caption" in one]
    media = body.get("media") or {}
    is_known = "url" in media or "urls" in media
    return PostContent(
        caption=str(body.get("caption") or ""),
        media=media if is_known and "type" in media else {"type": TEXT},
        options={one: body[one] for one in Platform if isinstance(body.get(one), dict)},
        ai_generated=body.get("ai_generated") is True,
        music_url=body.get("music_url"),
        first_comment=body.get("first_comment"),
        own={UUID(one["id"]): OwnContent(caption=one["caption"]) for one in entries},
    )


def find_place(form: PostForm, path: str) -> str:
    """Return the field, or the section, where a problem of a path of the body stands."""
    if found := _ENTRY.fullmatch(path):
        number, account, own = found.groups()
        named = account or (form.accounts[int(number)] if int(number) < len(form.accounts) else "")
        return OWN + named if own == "caption" else ACCOUNTS
    root = path.partition(".")[0].partition("[")[0]
    if root in ("scheduled_at", "local_time", "time_zone", "expires_at"):
        return "when"
    if (root == "media" and path not in PLAIN) or root == MEDIA_URLS:
        return "media"
    return path


def list_choices(adapter: Adapter | type[Adapter], columns: Columns) -> list[Choice]:
    """Return the options of a platform, as fields."""
    model = adapter.post_options
    if model is None:
        return []
    schema = model.model_json_schema()
    found = []
    for name, said in schema["properties"].items():
        column = f"{adapter.platform}.{name}"
        if column in columns.by_name:
            parts = [_resolve(schema, part) for part in said.get("anyOf", [said])]
            values = next((_list_values(part) for part in parts if _list_values(part)), ())
            most = next((part["maxLength"] for part in parts if "maxLength" in part), None)
            is_list = any(part.get("type") == "array" for part in parts)
            hints = [said.get("description", ""), "Several with | between them." if is_list else ""]
            hint = " ".join(filter(None, hints))
            label = name.removesuffix("_id").replace("_", " ").capitalize()
            found.append(Choice(name=column, label=label, hint=hint, values=values, most=most))
    return found


def _resolve(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(part.get("$ref", "")).rpartition("/")[2]
    return schema["$defs"][name] if name else part


def _list_values(part: Mapping[str, Any]) -> Sequence[str]:
    if part.get("type") == "boolean":
        return ("true", "false")
    return [part["const"]] if "const" in part else part.get("enum", ())


def say_choice(value: str) -> str:
    """Return a word of an option as people say it."""
    return {"true": "Yes", "false": "No"}.get(value, value.replace("_", " ").capitalize())


# --- a stored post ---------------------------------------------------------------------------------------------------


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
    body = export.build_body(view)
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
