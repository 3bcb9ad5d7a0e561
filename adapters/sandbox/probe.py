"""Read the properties of a media file from its bytes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import av
from PIL import Image, UnidentifiedImageError

_CONTAINERS = ("mov", "matroska")  # MP4 and MOV; WebM
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Properties of an image."""

    format: str
    """Pillow's name: JPEG, PNG, WEBP."""
    width: int
    height: int
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """Properties of a video."""

    codec: str
    width: int
    height: int
    fps: float
    duration: float
    """Seconds."""
    sha256: str
    bytes: int

    @property
    def ratio(self) -> float:
        """Width by height."""
        return self.width / self.height


Limit: TypeAlias = "tuple[str, float, float, Any]"
"""An attribute of `VideoFacts`, its least and its greatest value, and the error outside of them."""


def find_flaw(
    facts: VideoFacts | None, codecs: tuple[str, ...], bad_file: Any, limits: Iterable[Limit]
) -> Any:
    """Return the error of the first limit that a video breaks; `bad_file` if it is none of these codecs; else None."""
    if facts is None or facts.codec not in codecs:
        return bad_file
    for name, least, most, error in limits:
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
    return ImageFacts(
        format=format_name,
        width=width,
        height=height,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
    )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex; blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_HASH_CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()


def read_video(path: Path) -> VideoFacts | None:
    """Return the properties of a video, or None if the file is no video; blocks."""
    sha256, size = hash_file(path), path.stat().st_size
    for format_name in _CONTAINERS:  # fixed, not detected: a playlist would make FFmpeg fetch its entries
        try:
            with av.open(str(path), format=format_name) as container:
                stream = container.streams.video[0]
                duration = container.duration
                return VideoFacts(
                    codec=stream.codec_context.name,
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
