"""Media of rows by the names of files: what they stand for, and which names a file of posts has.

A name is what is no URL. It is a file that the client sent along with the file of posts, else the one upload of the
workspace that was named so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.imports.columns import BY_PLATFORM
from pipeline.stages.post_request import Refusal


@dataclass(frozen=True, slots=True)
class MediaNames:
    """URLs by the names of files. ``read_uploads``: the uploads that may be named, read when one is looked for."""

    sent: Mapping[str, str]
    read_uploads: Callable[[], Mapping[str, Sequence[str]]]

    def resolve(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body with URLs for names. Raises Refusal 400 for a name of no file, or of several uploads."""
        if not any(list_names(body)):
            return body
        entries = body.get("accounts")
        if isinstance(entries, list):
            found = [
                self._resolve_in(one, f"accounts.{n}.") if isinstance(one, dict) else one
                for n, one in enumerate(entries)
            ]
            body = {**body, "accounts": found}
        return self._resolve_in(body, "")

    def _resolve_in(self, body: dict[str, Any], where: str) -> dict[str, Any]:
        media = body.get("media")
        if not isinstance(media, dict):
            return body
        urls = media.get("urls")
        found = {"url": self._find(f"{where}media.url", media["url"])} if "url" in media else {}
        if isinstance(urls, list):
            found["urls"] = [self._find(f"{where}media.urls.{n}", url) for n, url in enumerate(urls)]
        return {**body, "media": {**media, **found}}

    def _find(self, path: str, name: Any) -> Any:
        if not _is_name(name):
            return name
        urls = [self.sent[name]] if name in self.sent else self.read_uploads().get(name, ())
        if len(urls) == 1:
            return urls[0]
        why = (
            "Several uploads have this name: write the URL of one."
            if urls
            else "There is no file of this name."
        )
        issue = {"path": path, "message": why, "type": "missing", "value": name}
        raise Refusal(400, "validation_failed", f"{path}: {name}: {why}", [issue])


def _is_name(url: Any) -> bool:
    return isinstance(url, str) and "://" not in url and bool(url.strip())


def list_names(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the media of a body that are no URLs, those of single accounts too."""
    entries = body.get("accounts")
    own = body.get(BY_PLATFORM)
    for one in (
        body,
        *(own.values() if isinstance(own, dict) else ()),
        *(entries if isinstance(entries, list) else ()),
    ):
        media = one.get("media") if isinstance(one, dict) else None
        if isinstance(media, dict):
            urls = media.get("urls")
            yield from filter(_is_name, [media.get("url"), *(urls if isinstance(urls, list) else ())])
