"""Reads what a media file really is, from its bytes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from pathlib import Path

_CONTAINERS = ("mov", "matroska")  # MP4 and MOV; WebM
_HASH_STEP = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """A picture."""

    format: str
    """As Pillow names it: JPEG, PNG, WEBP."""
    width: int
    height: int
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """A film."""

    codec: str
    width: int
    height: int
    fps: float
    duration: float
    """Seconds."""
    sha256: str
    bytes: int


def read_image(data: bytes) -> ImageFacts | None:
    """The facts of a picture, or None when it is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            form, (width, height) = picture.format or "", picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None
    return ImageFacts(
        format=form, width=width, height=height, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)
    )


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hex; blocks."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_HASH_STEP):
            total.update(part)
    return total.hexdigest()


def read_video(path: Path) -> VideoFacts | None:
    """The facts of a film, or None when it is none; blocks."""
    sha256, size = hash_file(path), path.stat().st_size
    for form in _CONTAINERS:  # fixed, never guessed: a playlist must not make FFmpeg fetch something
        try:
            with av.open(str(path), format=form) as container:
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
