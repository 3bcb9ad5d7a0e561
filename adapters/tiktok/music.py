"""From the link of a TikTok post to the sound it carries: recognising links (pure) and asking oEmbed.

oEmbed: developers.tiktok.com/doc/embed-videos, page of 2026-10-23, which also announces that embedded videos "will be
deprecated soon": everything that knows of it is in this file. Its error bodies and rate limit are not documented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from adapters.contract import Track
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import AdapterError, RateLimited, Rejected, Unavailable
from adapters.http import HttpClient, Response
from adapters.tiktok.transport import send
from adapters.tiktok.wire import Embed
from adapters.transport import Request

LONGEST_LINK = 2048
MOST_BYTES = 256 * 1024
PATIENCE = timedelta(seconds=5)

_LONG_HOSTS = ("tiktok.com", "www.tiktok.com", "m.tiktok.com")
_SHORT_HOSTS = ("vm.tiktok.com", "vt.tiktok.com")
_POST = re.compile(r"/@(?P<handle>[A-Za-z0-9_.]*)/(?P<kind>video|photo)/(?P<id>[0-9]{8,25})/?")
_MOBILE = re.compile(r"/v/(?P<id>[0-9]{8,25})\.html")
_SHORT = re.compile(r"/t/(?P<code>[A-Za-z0-9]{1,64})/?")
_CODE = re.compile(r"/(?P<code>[A-Za-z0-9]{1,64})/?")
_SOUND = re.compile(r"/music/(?:.*-)?(?P<id>[0-9]{8,25})/?", re.DOTALL)
_GONE = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def recognise_music_link(url: str) -> str | None:
    """The canonical form of a TikTok post's link, query and fragment dropped; None for everything else. Pure.

    Taken are ``/@handle/video|photo/<digits>`` on tiktok.com, www and m, ``m.tiktok.com/v/<digits>.html``,
    ``/t/<code>``, and ``vm.`` or ``vt.tiktok.com/<code>``; http is made https. Ids have 8 to 25 digits.
    """
    if len(url) > LONGEST_LINK or any(ord(c) <= ord(" ") or c == "\\" for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme.lower() not in {"http", "https"}:
        return None
    host = parts.netloc.lower()  # a userinfo or a port makes it none of the known hosts
    if host in _SHORT_HOSTS:
        code = _CODE.fullmatch(parts.path)
        return f"https://{host}/{code['code']}" if code else None
    return _long_link(host, parts.path) if host in _LONG_HOSTS else None


def _long_link(host: str, path: str) -> str | None:
    if post := _POST.fullmatch(path):
        return f"https://www.tiktok.com/@{post['handle']}/{post['kind']}/{post['id']}"
    if short := _SHORT.fullmatch(path):
        return f"https://www.tiktok.com/t/{short['code']}"
    if host == "m.tiktok.com" and (mobile := _MOBILE.fullmatch(path)):
        return f"https://m.tiktok.com/v/{mobile['id']}.html"
    return None


def sound_link(sound_id: str) -> str:
    """The page of a sound, where a person can choose it."""
    return f"https://www.tiktok.com/music/x-{sound_id}"


def _unresolvable(message: str, status: int | None = None) -> Rejected:
    return Rejected(
        message,
        code="music_unresolvable",
        http_status=status,
        next_action="Send the link of a public TikTok post that has a sound.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """What the embed code of a post says about its sound."""

    id: str
    title: str
    artist: str


def resolve(client: HttpClient, www: str, link: str) -> Track:
    """The sound of the post behind a link.

    Raises Rejected (``music_unresolvable``) when there is no such post or it has no sound, RateLimited and Unavailable
    when the resolver does not answer. A photo's link that is not known is asked for once more as a video's:
    photos and videos share one space of ids, and whether oEmbed knows photo links is not documented.
    """
    canonical = recognise_music_link(link)
    if canonical is None:
        raise _unresolvable("This is not the link of a TikTok post.")
    answer = _ask(client, www, canonical)
    if answer.status in _GONE and "/photo/" in canonical:
        answer = _ask(client, www, canonical.replace("/photo/", "/video/"))
    embed = _embed(answer)
    wanted = _id_in(canonical)
    if wanted is not None and embed.embed_product_id != wanted:
        raise _unresolvable("TikTok answered with another post than the one linked.", answer.status)
    if embed.embed_product_id is None:
        raise _unresolvable("TikTok does not say which post this link leads to.", answer.status)
    sound = sound_in(embed.html)
    if sound is None:
        raise _unresolvable(
            "This post has no sound that can be used: removed, muted or not available.", answer.status
        )
    return Track(
        post_id=embed.embed_product_id,
        sound_id=sound.id,
        title=sound.title,
        artist=sound.artist,
        link=sound_link(sound.id),
    )


def confirm(client: HttpClient, www: str, post_link: str, sound_id: str) -> bool | None:
    """Whether a public post carries this sound; None where oEmbed does not tell. A note, never a verdict."""
    try:
        return resolve(client, www, post_link).sound_id == sound_id
    except AdapterError:  # fresh, private or unembeddable: no reading, and the post is out all the same
        return None


def _ask(client: HttpClient, www: str, link: str) -> Response:
    request = Request(method="GET", url=f"{www}/oembed", params={"url": link}, limit=PATIENCE)
    return send(client, request, Phase.LOOK)


def _embed(answer: Response) -> Embed:
    if answer.status in _GONE:
        raise _unresolvable(
            "There is no such TikTok post, or it is private or cannot be embedded.", answer.status
        )
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = parse_retry_after(answer) or timedelta(minutes=1)
        raise RateLimited(
            "TikTok asked us to look up fewer sounds.", retry_after=wait, http_status=answer.status
        )
    if answer.status != HTTPStatus.OK or len(answer.body) > MOST_BYTES:
        raise Unavailable("TikTok did not say which sound the post has.", http_status=answer.status)
    try:
        return Embed.model_validate_json(answer.body)
    except ValidationError:
        raise Unavailable(
            "TikTok's answer about the post cannot be read.", http_status=answer.status
        ) from None


def _id_in(link: str) -> str | None:
    path = urlsplit(link).path
    match = _POST.fullmatch(path) or _MOBILE.fullmatch(path)
    return match["id"] if match else None


class _Anchors(HTMLParser):
    """Collects the links to sounds inside the blockquote, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.depth = 0
        self.found: list[tuple[str, str]] = []
        self._open: tuple[str, str | None] | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "blockquote":
            self.depth += 1
        if tag != "a" or not self.depth:
            return
        values: Mapping[str, Any] = dict(attrs)
        sound_id = _sound_id(values.get("href") or "")
        self._open = None if sound_id is None else (sound_id, values.get("title"))
        self._text = []

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "blockquote":
            self.depth = max(0, self.depth - 1)
        if tag == "a" and self._open is not None:
            sound_id, title = self._open
            self.found.append((sound_id, title or "".join(self._text)))
            self._open = None


def _sound_id(href: str) -> str | None:
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.netloc.lower() not in _LONG_HOSTS:
        return None
    match = _SOUND.fullmatch(unquote(parts.path))
    return match["id"] if match else None


def sound_in(html: str) -> Sound | None:
    """The last sound linked inside the blockquote of an embed code; its words are for display only."""
    anchors = _Anchors()
    anchors.feed(html)
    anchors.close()
    if not anchors.found:
        return None
    sound_id, words = anchors.found[-1]
    title, _, artist = words.strip().removeprefix("♬").strip().rpartition(" - ")
    return Sound(id=sound_id, title=title or artist, artist=artist if title else "")
