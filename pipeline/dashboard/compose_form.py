"""The fields of the form of a post, and what they say: the body that POST /posts takes, and where its problems stand.

A field is named as the column of a file of posts is (``imports/columns.py``), so that a form is read as a row is. Some
are the form's own: ``url`` and ``alt``, once for each file in order, ``own.ACCOUNT``, the words of one account, and
``rest.ACCOUNT``, JSON of what else it has of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from adapters.contract import Adapter, Platform
from pipeline.domain import strict_json
from pipeline.domain.own_content import OwnContent
from pipeline.imports.columns import ACCOUNTS, MEDIA_TYPE, MEDIA_URLS, SCHEDULED_AT, Columns
from pipeline.imports.read import read_cells
from pipeline.stages.post_request import PostContent

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
