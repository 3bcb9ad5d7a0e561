"""Recognizes the container of a file by its first bytes; the server's Content-Type proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "video"]
HEAD_BYTES = 64
"""Bytes that suffice to recognize any container."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """An accepted file format and what reads it: a Pillow format, an FFmpeg demuxer, or ``iso_media.py``."""

    kind: Kind
    content_type: str
    reader: Literal["pillow", "av", "iso_media"]
    format: str


def _image(content_type: str, pillow: str) -> Container:
    return Container(kind="image", content_type=content_type, reader="pillow", format=pillow)


def _video(content_type: str, demuxer: str) -> Container:
    return Container(kind="video", content_type=content_type, reader="av", format=demuxer)


def _heif(content_type: str) -> Container:
    return Container(kind="image", content_type=content_type, reader="iso_media", format="heif")


_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (b"\xff\xd8\xff", _image("image/jpeg", "JPEG")),
    (b"\x89PNG\r\n\x1a\n", _image("image/png", "PNG")),
    (b"GIF87a", _image("image/gif", "GIF")),
    (b"GIF89a", _image("image/gif", "GIF")),
)
_RIFF: dict[bytes, Container] = {
    b"WEBP": _image("image/webp", "WEBP"),
    b"AVI ": _video("video/x-msvideo", "avi"),
}
_AVIF = _image("image/avif", "AVIF")
# Major brands (mp4ra.org/registered-types/brands, read 2026-11); any other ftyp counts as MP4.
_BRANDS: dict[bytes, Container] = {
    b"avif": _AVIF,
    b"avis": _AVIF,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _heif("image/heic")),
    **dict.fromkeys((b"mif1", b"msf1"), _heif("image/heif")),
    b"qt  ": _video("video/quicktime", "mov"),
    b"M4V ": _video("video/x-m4v", "mov"),
}
_MP4 = _video("video/mp4", "mov")
_OLD_QUICKTIME = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})  # files older than ftyp
_EBML = b"\x1aE\xdf\xa3"


def sniff(head: bytes) -> Container | None:
    """Return the container that begins with ``head``, None if it is not an accepted one."""
    for magic, container in _MAGIC:
        if head.startswith(magic):
            return container
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(_EBML):
        webm = b"webm" in head[:HEAD_BYTES]
        return _video("video/webm" if webm else "video/x-matroska", "matroska")
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[4:8] in _OLD_QUICKTIME:
        return _BRANDS[b"qt  "]
    return None


def _brand(head: bytes) -> Container:
    major = head[8:12]
    if major in (b"mif1", b"msf1"):  # any image: the compatible brands name the codec
        size = min(int.from_bytes(head[:4], "big"), HEAD_BYTES)
        others = [head[at : at + 4] for at in range(16, size, 4)]
        return next((_BRANDS[brand] for brand in others if brand in (b"avif", b"heic")), _BRANDS[major])
    return _BRANDS.get(major, _MP4)
