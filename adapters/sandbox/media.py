"""Media as the platforms see it: fetched from URLs, and the properties of a file from its bytes.

Platforms fetch without redirects, with limits on size and time. Only the sandbox's media host and the application's
uploaded files are reachable; every other URL fails.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import av
from PIL import Image, UnidentifiedImageError
from pypdf import PdfReader
from pypdf.errors import PyPdfError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_CONTAINERS = ("mov", "matroska")  # MP4 and MOV; WebM
_LOOPBACK = ("127.0.0.1", "localhost")
_OK = 200
_TIMEOUT_S = 60.0
_CRAWLER = {"User-Agent": "facebookexternalhit/1.1 (Slipway sandbox)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileFacts:
    """Properties of an image or a video."""

    format: str
    """Pillow's name: JPEG, PNG, WEBP; FFmpeg's name of a video's codec."""
    width: int
    height: int
    sha256: str
    bytes: int

    @property
    def ratio(self) -> float:
        """Width by height."""
        return self.width / self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts(_FileFacts):
    """Properties of an image."""

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def short_side(self) -> int:
        """Pixels."""
        return min(self.width, self.height)

    @property
    def long_side(self) -> int:
        """Pixels."""
        return max(self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts(_FileFacts):
    """Properties of a video."""

    fps: float
    duration: float
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """Properties of a document."""

    format: str
    pages: int
    sha256: str
    bytes: int


Facts: TypeAlias = "ImageFacts | VideoFacts | DocumentFacts"


def find_flaw(facts: Facts | None, rules: Record) -> Any:
    """Return the error of the first rule that a file breaks, or None.

    `formats`: the accepted ones, else all; `bad`: the error of every other file; `limits`: rows of a property, its
    least and its greatest value, and the error outside of them.
    """
    if facts is None or facts.format not in rules.get("formats", (facts.format,)):
        return rules["bad"]
    for name, least, most, error in rules["limits"]:
        if not least <= getattr(facts, name) <= most:
            return error
    return None


def read_image(data: bytes) -> ImageFacts | None:
    """Return the properties of an image, or None if the bytes are no image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            format_name, (width, height) = image.format or "", image.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    return ImageFacts(format=format_name, width=width, height=height, sha256=sha256, bytes=len(data))


def read_document(path: Path) -> DocumentFacts | None:
    """Return the properties of a PDF, or None if the file is none; blocks."""
    try:
        pages = len(PdfReader(path).pages)
    except (PyPdfError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return DocumentFacts(format="PDF", pages=pages, sha256=hash_file(path), bytes=path.stat().st_size)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex; blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_video(path: Path) -> VideoFacts | None:
    """Return the properties of a video, or None if the file is no video; blocks."""
    sha256, size = hash_file(path), path.stat().st_size
    for format_name in _CONTAINERS:  # fixed, not detected: a playlist would make FFmpeg fetch its entries
        try:
            with av.open(str(path), format=format_name) as container:
                stream = container.streams.video[0]
                duration = container.duration
                return VideoFacts(
                    format=stream.codec_context.name,
                    width=stream.codec_context.width,
                    height=stream.codec_context.height,
                    fps=float(stream.average_rate or 0),
                    duration=0.0 if duration is None else duration / 1_000_000,
                    sha256=sha256,
                    bytes=size,
                )
        except (av.FFmpegError, IndexError):
            continue
    return None


async def probe_upload(path: Path) -> VideoFacts | None:
    """Return the properties of an uploaded video, or None if it is none or there is no such file."""
    if not await asyncio.to_thread(path.exists):
        return None
    return await asyncio.to_thread(read_video, path)


def describe_file(facts: Facts | None, size: int | None = None) -> Record:
    """Return an uploaded file as ledger entries name it; `size`: its length, where it may be no media."""
    if facts is None:
        return {"sha256": None, "bytes": size}
    media: Record = {"sha256": facts.sha256, "bytes": facts.bytes}
    return media | {"duration": facts.duration} if isinstance(facts, VideoFacts) else media


class _FetchFailed(Exception):
    """The URL cannot be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedMedia:
    """The media behind a URL."""

    facts: Facts | None
    """None: it is no image, or no video."""
    bytes: int
    """Length of the body."""

    def to_ledger_media(self, url: str) -> Record:
        """Return the media as ledger entries name it."""
        return {"url": url, **describe_file(self.facts, self.bytes), "bytes": self.bytes}


class UrlFetcher:
    """Fetch and probe images and videos."""

    def __init__(self, context: SandboxContext) -> None:
        """Use the settings, faults and pace of `context`."""
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._cache: dict[tuple[str, bool], FetchedMedia] = {}

    def is_reachable(self, url: str) -> bool:
        """Return whether the URL is on the sandbox's media host or among the application's uploaded files."""
        settings = self._context.settings
        if settings.uploads and url.startswith(settings.uploads):
            return True
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return False
        return (
            parts.scheme == "http"
            and host in (*_LOOPBACK, settings.host)
            and port == settings.media_port
            and parts.username is None
            and parts.path.startswith("/media/")
        )

    def clear_cache(self) -> None:
        """Clear the cache of instant pace, so that every URL is fetched again."""
        self._cache.clear()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(
        self, platform: str, url: str, max_bytes: int, *, is_video: bool = True
    ) -> FetchedMedia | None:
        """Fetch a video or an image of at most `max_bytes`. Return None if the URL fails."""
        if not self.is_reachable(url):
            return None
        try:
            await self._apply_faults(platform, url)
            media = self._cache.get((url, is_video)) if self._context.is_instant else None
            if media is None or media.facts is None:
                media = await (self._fetch_video if is_video else self._fetch_image)(url, max_bytes)
        except _FetchFailed:
            return None
        if self._context.is_instant:
            self._cache[url, is_video] = media
        return media

    async def _apply_faults(self, platform: str, url: str) -> None:
        if not self._context.faults.is_active:
            return
        for fault in self._context.faults.find_matching((platform,), "media", None):
            self._context.faults.spend(fault)
            if fault["fault"] != "latency":
                raise _FetchFailed(url)
            await asyncio.sleep(fault["delay_ms"] / 1000)

    async def _fetch_image(self, url: str, max_bytes: int) -> FetchedMedia:
        data = bytearray()
        await self._fetch(url, max_bytes, data.extend)
        return FetchedMedia(facts=read_image(bytes(data)), bytes=len(data))

    async def _fetch_video(self, url: str, max_bytes: int) -> FetchedMedia:
        path: Path = self._context.uploads / f"fetch-{secrets.token_hex(8)}"
        try:
            with path.open("wb") as file:
                size = await self._fetch(url, max_bytes, file.write)
            facts = await asyncio.to_thread(read_video, path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return FetchedMedia(facts=facts, bytes=size)

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
