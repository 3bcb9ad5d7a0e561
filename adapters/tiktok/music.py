"""Resolve the link of a TikTok post to the sound it uses: recognise links (pure) and query oEmbed.

oEmbed: developers.tiktok.com/doc/embed-videos, page of 2026-10-23, which also announces that embedded videos "will be
deprecated soon": only this file depends on it. Its error bodies and rate limit are undocumented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from adapters.contract import Track
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import AdapterError, RateLimited, Rejected, Unavailable
from adapters.http import HttpClient, Response
from adapters.tiktok.client import send
from adapters.tiktok.wire import Embed
from adapters.transport import Request

LONGEST_LINK = 2048
MOST_BYTES = 256 * 1024
OEMBED_TIME = timedelta(seconds=5)

_LONG_HOSTS = ("tiktok.com", "www.tiktok.com", "m.tiktok.com")
_SHORT_HOSTS = ("vm.tiktok.com", "vt.tiktok.com")
_POST = re.compile(r"/@(?P<handle>[A-Za-z0-9_.]*)/(?P<kind>video|photo)/(?P<id>[0-9]{8,25})/?")
_MOBILE = re.compile(r"/v/(?P<id>[0-9]{8,25})\.html")
_SHORT = re.compile(r"/t/(?P<code>[A-Za-z0-9]{1,64})/?")
_CODE = re.compile(r"/(?P<code>[A-Za-z0-9]{1,64})/?")
_SOUND = re.compile(r"/music/(?:.*-)?(?P<id>[0-9]{8,25})/?", re.DOTALL)
_GONE = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def normalize_post_link(url: str) -> str | None:
    """Return a TikTok post's link without query and fragment, or None for any other link. Pure.

    Accepted are ``/@handle/video|photo/<digits>`` on tiktok.com, www and m, ``m.tiktok.com/v/<digits>.html``,
    ``/t/<code>``, and ``vm.`` or ``vt.tiktok.com/<code>``; http becomes https. Ids have 8 to 25 digits.
    """
    if len(url) > LONGEST_LINK or any(ord(c) <= ord(" ") or c == "\\" for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme.lower() not in {"http", "https"}:
        return None
    host = parts.netloc.lower()  # with userinfo or a port it is none of the known hosts
    if host in _SHORT_HOSTS:
        code = _CODE.fullmatch(parts.path)
        return f"https://{host}/{code['code']}" if code else None
    return _normalize_long_link(host, parts.path) if host in _LONG_HOSTS else None


def _normalize_long_link(host: str, path: str) -> str | None:
    if post := _POST.fullmatch(path):
        return f"https://www.tiktok.com/@{post['handle']}/{post['kind']}/{post['id']}"
    if short := _SHORT.fullmatch(path):
        return f"https://www.tiktok.com/t/{short['code']}"
    if host == "m.tiktok.com" and (mobile := _MOBILE.fullmatch(path)):
        return f"https://m.tiktok.com/v/{mobile['id']}.html"
    return None


def build_sound_link(sound_id: str) -> str:
    """Return the URL of a sound's page, where a user can choose it."""
    return f"https://www.tiktok.com/music/x-{sound_id}"


def _build_unresolvable_error(message: str, status: int | None = None) -> Rejected:
    return Rejected(
        message,
        code="music_unresolvable",
        http_status=status,
        next_action="Send the link of a public TikTok post that has a sound.",
    )


def resolve_sound(http: HttpClient, www: str, link: str) -> Track:
    """Return the sound of a linked post.

    Raise Rejected (``music_unresolvable``) if there is no such post or it has no sound, RateLimited or Unavailable if
    oEmbed does not respond. An unknown photo link is queried once more as a video link: photos and videos share one
    space of ids, and whether oEmbed supports photo links is undocumented.
    """
    canonical = normalize_post_link(link)
    if canonical is None:
        raise _build_unresolvable_error("This is not the link of a TikTok post.")
    response = _request_embed(http, www, canonical)
    if response.status in _GONE and "/photo/" in canonical:
        response = _request_embed(http, www, canonical.replace("/photo/", "/video/"))
    embed = _parse_embed(response)
    post_id = _parse_post_id(canonical)
    if post_id is not None and embed.embed_product_id != post_id:
        raise _build_unresolvable_error("TikTok returned another post than the one linked.", response.status)
    if embed.embed_product_id is None:
        raise _build_unresolvable_error("TikTok does not say which post this link leads to.", response.status)
    track = parse_sound(embed.html, embed.embed_product_id)
    if track is None:
        raise _build_unresolvable_error(
            "This post has no sound that can be used: removed, muted or not available.", response.status
        )
    return track


def confirm_sound(http: HttpClient, www: str, post_link: str, sound_id: str) -> bool | None:
    """Return whether a public post uses this sound; None if oEmbed does not say. For information only."""
    try:
        return resolve_sound(http, www, post_link).sound_id == sound_id
    except AdapterError:  # new, private or not embeddable: unknown, and the post is live in any case
        return None


def _request_embed(http: HttpClient, www: str, link: str) -> Response:
    request = Request(method="GET", url=f"{www}/oembed", params={"url": link}, limit=OEMBED_TIME)
    return send(http, request, Phase.LOOK)


def _parse_embed(response: Response) -> Embed:
    if response.status in _GONE:
        raise _build_unresolvable_error(
            "There is no such TikTok post, or it is private or cannot be embedded.", response.status
        )
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = parse_retry_after(response) or timedelta(minutes=1)
        raise RateLimited(
            "TikTok asked us to look up fewer sounds.", retry_after=wait, http_status=response.status
        )
    if response.status != HTTPStatus.OK or len(response.body) > MOST_BYTES:
        raise Unavailable("TikTok did not return the sound of the post.", http_status=response.status)
    embed = response.parse(Embed)
    if embed is None:
        raise Unavailable("TikTok's response about the post is unreadable.", http_status=response.status)
    return embed


def _parse_post_id(link: str) -> str | None:
    path = urlsplit(link).path
    match = _POST.fullmatch(path) or _MOBILE.fullmatch(path)
    return match["id"] if match else None


class _Anchors(HTMLParser):
    """Collect the links to sounds inside the blockquote, in order."""

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
        sound_id = _parse_sound_id(values.get("href") or "")
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


def _parse_sound_id(href: str) -> str | None:
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.netloc.lower() not in _LONG_HOSTS:
        return None
    match = _SOUND.fullmatch(unquote(parts.path))
    return match["id"] if match else None


def parse_sound(html: str, post_id: str) -> Track | None:
    """Return the last sound linked inside the blockquote of a post's embed code.

    Title and artist are for display only.
    """
    anchors = _Anchors()
    anchors.feed(html)
    anchors.close()
    if not anchors.found:
        return None
    sound_id, label = anchors.found[-1]
    title, _, artist = label.strip().removeprefix("♬").strip().rpartition(" - ")
    return Track(
        post_id=post_id,
        sound_id=sound_id,
        title=title or artist,
        artist=artist if title else "",
        link=build_sound_link(sound_id),
    )
