"""Turn the saved list of posts of another product into rows of an import: bodies of POST /posts.

A post that is still to come, or a draft, is a row; others are counted by their state. What has no counterpart is named
in the row as `REFUSED`, with the value found, so the import rejects the row and no part of a post is lost unseen.
``saved_lists.toml`` has what the fields are here, and the pages that say so.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from html import unescape
from importlib.resources import files
from typing import Any

from pipeline.domain import strict_json
from pipeline.imports.cells import complete_media, parse_accounts, set_field
from pipeline.imports.columns import REFUSED
from pipeline.imports.local_time import InvalidCell
from pipeline.store.accounts.accounts import AccountRow

MAX_BYTES = 32 * 1024 * 1024
"""Maximum size of a file: it is parsed as a whole, which takes several times as much memory."""
MAX_PARTS = 4_000_000
"""Maximum number of brackets, braces and commas in it."""
_PRODUCTS = tomllib.loads(files(__package__).joinpath("saved_lists.toml").read_text())
_TAGS: Mapping[str, str] = _PRODUCTS["postiz"]["tags"]
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b[^<>]*>", re.IGNORECASE)
"""A tag. `html.parser` is no choice for text of others: it takes 13 s for 16 KiB of ``<a `` (measured, Python 3.11)."""
_BESIDE = re.compile(r'(?:href|src|data-mention-id)="([^"]*)"')
"""What a caption in HTML has beside its text: addresses, images and mentions."""


class UnreadableList(ValueError):
    """The file is no list of posts, or too large. ``str()`` is a sentence for its author."""


@dataclass(kw_only=True)
class ListReader:
    """Reads the list of one product. ``counted``: what its author has to know, and of how many posts."""

    product: str
    ours: Sequence[AccountRow]
    theirs: Collection[str]
    """Accounts as ``THEIRS=OURS``: an id or name of theirs, and ours as a cell has it."""
    without: Collection[str]
    """Fields of theirs that are left out, and not refused."""
    counted: Counter[str] = field(default_factory=Counter)

    @cached_property
    def _given(self) -> Mapping[str, Mapping[str, str]]:
        pairs = [one.rpartition("=") for one in self.theirs]
        return {name.strip(): parse_accounts([own.strip()])[0] for name, _, own in pairs}

    def read(self, raw: bytes) -> Iterator[dict[str, Any]]:
        """Yield the row of each post that is one. Raises UnreadableList, and InvalidCell for one of ``theirs``."""
        how = _PRODUCTS[self.product]
        for post in (post for page in _parse_pages(raw) for post in _list_posts(page)):
            due, word = post.get(how["time"]), str(post.get(how["state"]))[:40]
            state = how["states"].get(word, f"{how['state']} {word}")
            is_draft = state == "draft"
            if not is_draft and (state != "scheduled" or _is_past(due)):
                self.counted[f"Left out: {'in the past' if state == 'scheduled' else state}"] += 1
                continue
            row: dict[str, Any] = {"external_id": f"{self.product}:{post['id']}", "accounts": [], REFUSED: []}
            row |= {"draft": True} if is_draft else {"scheduled_at": due}
            self.counted["Drafts have no time here: theirs is left out"] += is_draft and due is not None
            left = [name for name in self.without if post.get(name) and name != "image"]
            self.counted.update(f"Left out, as --without says: {name}" for name in left)
            post = {name: value for name, value in post.items() if name not in self.without}  # noqa: PLW2901
            for name, value in post.items():
                if name in how["as_here"]:
                    row[name] = value
                elif value and name not in how["read"]:
                    self._reject(row, name, value)
            (self._fill_from_postiz if self.product == "postiz" else self._fill_from_genviral)(row, post)
            yield row

    def describe(self) -> list[str]:
        """Return what is no row, what is not as it was, and whose account is whose."""
        return [f"{what} ({n:,})." for what, n in sorted(self.counted.items()) if n]

    def _reject(self, row: dict[str, Any], path: str, value: Any, message: str = "") -> None:
        if path in self.without:
            self.counted[f"Left out, as --without says: {path}"] += 1
            return
        said = message or f"It has no counterpart. --without {path} leaves it out."
        row[REFUSED].append([path, said, json.dumps(value) if isinstance(value, dict | list) else value])

    def _add_account(self, row: dict[str, Any], platform: str, theirs: Sequence[Any], **own: Any) -> None:
        """Add our account for theirs: the given one, or the only one of the platform with its name or id."""
        names = [str(name)[:100] for name in theirs if name]
        folded = {name.removeprefix("@").casefold() for name in names}
        found = [self._given[name] for name in names if name in self._given][:1] or [
            {"account": f"{a.platform}:{a.username}"}
            for a in self.ours
            if a.platform == platform and folded & {str(a.id), a.username.casefold()}
        ]
        if len(found) != 1:
            option = f"--account '{names[-1] if names else 'ID'}={platform}:username'"
            message = f"{len(found)} accounts here fit; {option} says which."
            self._reject(row, "account", " ".join(names), message)
        else:
            row["accounts"].append({**found[0], **own})
            self.counted[f"{' '.join(names)} is {', '.join(found[0].values())}"] += 1

    def _fill_from_genviral(self, row: dict[str, Any], post: Mapping[str, Any]) -> None:
        self.counted["An external_id gives way to genviral:ID"] += bool(post.get("external_id"))
        for state in _list_objects(_list_objects([post.get("accounts")])[0].get("states")):
            platform, word = str(state.get("platform")), state.get("status", "scheduled")
            if word not in ("scheduled", "draft"):
                self.counted[f"Left out: accounts that are {word}"] += 1
                continue
            own = {n: state[n] for n in ("caption", "media", "scheduled_at") if state.get(n)}
            own |= {platform: state["options"]} if state.get("options") else {}
            self._add_account(row, platform, (state.get("account_id"), state.get("username")), **own)

    def _fill_from_postiz(self, row: dict[str, Any], post: Mapping[str, Any]) -> None:
        how, integration = _PRODUCTS["postiz"], _list_objects([post.get("integration")])[0]
        provider = str(integration.get("providerIdentifier"))
        if (platform := how["platforms"].get(provider)) is None:
            message = f"It is none of {', '.join(how['platforms'])}."
            self._reject(row, "integration.providerIdentifier", provider, message)
            return
        self._add_account(row, platform, [integration.get(name) for name in ("id", "name", "profile")])
        self.counted["Comments do not come along, as the list has none"] += 1
        row["caption"] = self._read_caption(row, post.get("content"))
        row["media"] = self._read_media(row, post)
        settings = _unpack(post.get("settings"))
        for name, value in settings.items() if isinstance(settings, dict) else [("", settings)]:
            rule = how["settings"].get(platform, {}).get(name, {"values": {"false": 0}})
            values, word = rule.get("values"), str(value).casefold()
            if name == "__type" or value in (None, "", [], {}):
                continue
            if values and word not in values:
                self._reject(row, f"settings.{name}", value)
            elif "to" in rule:
                labels = [one.get("label") for one in _list_objects(value)] or value
                set_field(row, rule["to"].split("."), values[word] if values else labels)

    def _read_media(self, row: dict[str, Any], post: Mapping[str, Any]) -> dict[str, Any]:
        given = _unpack(post.get("image")) or ([] if "image" in post else None)
        if not isinstance(given, list):
            self._reject(row, "image", given, "The list names no media. --without image makes it a text.")
            return {"type": "text"}
        items = _list_objects(given)
        for name in sorted({name for one in items for name in one if one[name]} - {"id", "name", "path"}):
            self._reject(row, f"image.{name}", [one.get(name) for one in items])
        media = {"urls": [str(one.get("path")) for one in items]} if items else {"type": "text"}
        try:
            complete_media(media)
        except InvalidCell as error:
            self._reject(row, "image", given, str(error))
        return media

    def _read_caption(self, row: dict[str, Any], content: Any) -> Any:
        """Return a caption as plain text, with a line for each paragraph; one without tags of Postiz is plain."""
        tags = {name.lower() for _, name in _TAG.findall(content)} if isinstance(content, str) else set()
        if not tags & _TAGS.keys():
            return content
        plain = _TAG.sub(lambda tag: "" if tag[1] else _TAGS.get(tag[2].lower(), ""), content)
        text = unescape(plain).replace("\n- \n", "\n- ").replace("\xa0", " ").strip("\n")
        beside = [one for one in map(unescape, _BESIDE.findall(content)) if one not in text]
        for lost in [*beside, *sorted(tags - _TAGS.keys())]:
            self._reject(row, "content", lost, "It has no counterpart in plain text.")
        self.counted["HTML became plain text, a line for each paragraph, no word bold or underlined"] += 1
        return text


def _parse_pages(raw: bytes) -> Iterator[Any]:
    """Yield the answers of a file: one, or one on each line. Raises UnreadableList."""
    lines = [(f"Line {n}", line) for n, line in enumerate(raw.splitlines(), 1) if line.strip()]
    if not lines or len(raw) > MAX_BYTES:
        raise UnreadableList(f"It has more than {MAX_BYTES:,} bytes." if lines else "The file is empty.")
    is_one = len(lines) == 1 or not lines[0][1].rstrip().endswith((b"}", b"]"))
    for where, text in [("The file", raw)] if is_one else lines:
        try:
            yield strict_json.parse(text, MAX_PARTS)
        except strict_json.InvalidJson as error:
            raise UnreadableList(f"{where}: {str(error).replace('The body', 'It')}") from None


def _list_posts(page: Any) -> list[Any]:
    """Return the posts of an answer, or of a list of answers or posts. Raises UnreadableList."""
    if isinstance(page, list):
        return [post for one in page for post in _list_posts(one)]
    answer = page.get("data", page) if isinstance(page, dict) else None
    posts = answer.get("posts", [page]) if isinstance(answer, dict) else None
    if not isinstance(posts, list) or not all(isinstance(one.get("id"), str) for one in _list_objects(posts)):
        raise UnreadableList("It is no list of posts: an answer has them in `posts`, each with its id.")
    return posts


def _is_past(due: Any) -> bool:
    try:
        return datetime.fromisoformat(due) <= datetime.now(UTC)
    except (TypeError, ValueError):  # no time, or one without an offset: the import says so
        return False


def _unpack(value: Any) -> Any:
    """Return what a text holds as JSON, else the value: lists of Postiz have objects either way."""
    try:
        return strict_json.parse(value.encode(errors="replace")) if isinstance(value, str) else value
    except strict_json.InvalidJson:
        return value


def _list_objects(value: Any) -> list[dict[str, Any]]:
    """Return the items of a list, an empty object for each that is none."""
    return [one if isinstance(one, dict) else {} for one in value] if isinstance(value, list) else []
