"""Fetch media from URLs as the platforms do: without redirects, with limits on size and time.

Only the sandbox's media host and the application's uploaded files are reachable; every other URL fails.
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
    from collections.abc import Callable
    from pathlib import Path

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_LOOPBACK = ("127.0.0.1", "localhost")
_OK = 200
_TIMEOUT_S = 60.0
_CRAWLER = {"User-Agent": "facebookexternalhit/1.1 (Slipway sandbox)"}


class _FetchFailed(Exception):
    """The URL cannot be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedMedia:
    """The media behind a URL."""

    image: probe.ImageFacts | None = None
    video: probe.VideoFacts | None = None
    bytes: int
    """Length of the body."""

    def to_ledger_media(self, url: str) -> Record:
        """Return the media as ledger entries name it."""
        facts = self.image or self.video
        media: Record = {"url": url, "sha256": None if facts is None else facts.sha256, "bytes": self.bytes}
        return media if self.video is None else media | {"duration": self.video.duration}


class UrlFetcher:
    """Fetch and probe images and videos."""

    def __init__(self, context: SandboxContext) -> None:
        """Use the settings, faults and pace of `context`."""
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._cache: dict[str, FetchedMedia] = {}

    def is_reachable(self, url: str) -> bool:
        """Return whether the URL is on the sandbox's media host or among the application's uploaded files."""
        uploads = self._context.settings.uploads
        if uploads and url.startswith(uploads):
            return True
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return False
        hosts = (*_LOOPBACK, self._context.settings.host)
        return (
            parts.scheme == "http"
            and host in hosts
            and port == self._context.settings.media_port
            and parts.username is None
            and parts.path.startswith("/media/")
        )

    async def fetch_image(self, platform: str, url: str, max_bytes: int) -> FetchedMedia | None:
        """Fetch an image of at most `max_bytes`; `image` is None if it is none. Return None if the URL fails."""
        return await self._try_fetch(platform, url, max_bytes, video=False)

    async def fetch_video(self, platform: str, url: str, max_bytes: int) -> FetchedMedia | None:
        """Fetch a video of at most `max_bytes`; `video` is None if it is none. Return None if the URL fails."""
        return await self._try_fetch(platform, url, max_bytes, video=True)

    def clear_cache(self) -> None:
        """Clear the cache of instant pace, so that every URL is fetched again."""
        self._cache.clear()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _try_fetch(
        self, platform: str, url: str, max_bytes: int, *, video: bool
    ) -> FetchedMedia | None:
        try:
            return await self._fetch_media(platform, url, max_bytes, video=video)
        except _FetchFailed:
            return None

    async def _fetch_media(self, platform: str, url: str, max_bytes: int, *, video: bool) -> FetchedMedia:
        if not self.is_reachable(url):
            raise _FetchFailed(url)
        if self._context.faults.is_active:
            await self._apply_faults(platform, url)
        media = self._cache.get(url) if self._context.is_instant else None
        if media is None or (media.video if video else media.image) is None:
            media = await (self._fetch_video(url, max_bytes) if video else self._fetch_image(url, max_bytes))
            if self._context.is_instant:
                self._cache[url] = media
        return media

    async def _apply_faults(self, platform: str, url: str) -> None:
        for fault in self._context.faults.find_matching((platform,), "media", None):
            self._context.faults.spend(fault)
            if fault["fault"] != "latency":
                raise _FetchFailed(url)
            await asyncio.sleep(fault["delay_ms"] / 1000)

    async def _fetch_image(self, url: str, max_bytes: int) -> FetchedMedia:
        data = bytearray()
        await self._fetch(url, max_bytes, data.extend)
        return FetchedMedia(image=probe.read_image(bytes(data)), bytes=len(data))

    async def _fetch_video(self, url: str, max_bytes: int) -> FetchedMedia:
        path: Path = self._context.uploads / f"fetch-{secrets.token_hex(8)}"
        try:
            with path.open("wb") as file:
                size = await self._fetch(url, max_bytes, file.write)
            facts = await asyncio.to_thread(probe.read_video, path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return FetchedMedia(video=facts, bytes=size)

    async def _fetch(self, url: str, max_bytes: int, sink: Callable[[bytes], object]) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), headers=_CRAWLER, auto_decompress=False
            )
        size = 0
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != _OK:
                    raise _FetchFailed(url)
                async for part in response.content.iter_chunked(1 << 18):
                    size += len(part)
                    if size > max_bytes:
                        break
                    sink(part)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _FetchFailed(url) from error
        return size
