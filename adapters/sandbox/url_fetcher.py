"""Fetches media as the platforms do that pull: from a URL, no redirects, bounded.

Only the sandbox's own media host and the application's uploaded files can be reached, whatever the URL says; every
other host is "unreachable".
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from adapters.sandbox import probe

if TYPE_CHECKING:
    from pathlib import Path

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_LOOPBACK = ("127.0.0.1", "localhost")
_OK = 200
_TIMEOUT_S = 60.0
_CRAWLER = {"User-Agent": "facebookexternalhit/1.1 (Slipway sandbox)"}


class FetchFailed(Exception):
    """The URL could not be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedMedia:
    """What a URL gave."""

    image: probe.ImageFacts | None = None
    video: probe.VideoFacts | None = None
    bytes: int
    """Length of the body."""

    def to_ledger_media(self, url: str) -> Record:
        """As the ledger names it."""
        facts = self.image or self.video
        return {"url": url, "sha256": None if facts is None else facts.sha256, "bytes": self.bytes}


class UrlFetcher:
    """Fetches and looks at pictures and films."""

    def __init__(self, context: SandboxContext) -> None:
        """Fetch from the media host of `context`."""
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[str, FetchedMedia] = {}

    def is_reachable(self, url: str) -> bool:
        """Whether the URL lies on the sandbox's own media host, or among the application's uploaded files."""
        uploads = self._context.settings.uploads
        if uploads and url.startswith(uploads):
            return True
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return False
        own = (*_LOOPBACK, self._context.settings.host)
        return (
            parts.scheme == "http"
            and host in own
            and port == self._context.settings.media_port
            and parts.username is None
            and parts.path.startswith("/media/")
        )

    async def fetch_image(self, platform: str, url: str, most: int) -> FetchedMedia:
        """Fetch a picture of at most `most` bytes; raises PullFailed. `image` is None when it is none."""
        return await self._pull(platform, url, most, video=False)

    async def fetch_video(self, platform: str, url: str, most: int) -> FetchedMedia:
        """Fetch a film of at most `most` bytes; raises PullFailed. `video` is None when it is none."""
        return await self._pull(platform, url, most, video=True)

    def clear_cache(self) -> None:
        """Fetch everything anew from now on."""
        self._known.clear()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _pull(self, platform: str, url: str, most: int, *, video: bool) -> FetchedMedia:
        if not self.is_reachable(url):
            raise FetchFailed(url)
        if self._context.faults.active:
            await self._strike(platform, url)
        known = self._known.get(url) if self._context.instant else None
        if known is None or (known.video if video else known.image) is None:
            known = await (self._fetch_film(url, most) if video else self._fetch_picture(url, most))
            if self._context.instant:
                self._known[url] = known
        return known

    async def _strike(self, platform: str, url: str) -> None:
        for fault in self._context.faults.find_matching((platform,), "media", None):
            self._context.faults.spend(fault)
            if fault["fault"] != "latency":
                raise FetchFailed(url)
            await asyncio.sleep(fault["delay_ms"] / 1000)

    async def _fetch_picture(self, url: str, most: int) -> FetchedMedia:
        data = bytearray()
        await self._fetch(url, most, data.extend)
        return FetchedMedia(image=probe.read_image(bytes(data)), bytes=len(data))

    async def _fetch_film(self, url: str, most: int) -> FetchedMedia:
        path: Path = self._context.uploads / f"pull-{secrets.token_hex(8)}"
        try:
            with path.open("wb") as file:
                size = await self._fetch(url, most, file.write)
            facts = await asyncio.to_thread(probe.read_video, path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return FetchedMedia(video=facts, bytes=size)

    async def _fetch(self, url: str, most: int, sink: Callable[[bytes], object]) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), headers=_CRAWLER, auto_decompress=False
            )
        size = 0
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != _OK:
                    raise FetchFailed(url)
                async for part in response.content.iter_chunked(1 << 18):
                    size += len(part)
                    if size > most:
                        break
                    sink(part)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FetchFailed(url) from error
        return size


if TYPE_CHECKING:
    from collections.abc import Callable
