"""The addresses of uploaded files: the public URL nobody can guess, and the upload URL nobody can make up."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from pipeline.media.refusal import Refused
from pipeline.media.url_policy import target

PATH = "/files/"
ENDINGS: Mapping[str, str] = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/heic": "heic",
    "image/heif": "heif",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "video/webm": "webm",
    "video/x-m4v": "m4v",
}
"""Every type that may be uploaded, and what its URL ends in."""
_PURPOSE = b"slipway: upload URLs, 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """Where uploaded files are put and found. ``keys``: secrets, newest first; the newest signs, each is believed."""

    public: str
    """What public URLs begin with, as ``https://host``, without a slash at its end."""
    keys: Sequence[bytes] = field(repr=False)

    def new_name(self, content_type: str) -> str:
        """The last part of a new file's URL: 256 random bits, and an ending, for some who pull files look at that."""
        return f"{secrets.token_urlsafe(32)}.{ENDINGS[content_type]}"

    def url_of(self, name: str) -> str:
        """The public URL."""
        return f"{self.public}{PATH}{name}"

    def name_in(self, url: str) -> str | None:
        """What stands where a file's name does, if the URL is below our own files, however it is spelled."""
        parts = urlsplit(self.public)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        origin = f"{parts.scheme}://{host}:{port}"
        try:
            there = target(url, {origin})
        except Refused:
            return None
        below = parts.path + PATH
        if there.origin != origin or not there.path.startswith(below):
            return None
        return there.path.removeprefix(below)

    def signed(self, file: UUID, content_type: str, expires: int) -> str:
        """The query of an upload URL; ``expires`` in seconds of the epoch."""
        signature = _sign(self.keys[0], file, content_type, expires)
        return urlencode({"type": content_type, "expires": expires, "signature": signature})

    def judge(
        self, file: UUID, content_type: str, expires: int, signature: str, now: float
    ) -> Literal["good", "forged", "late"]:
        """Whether we made this upload URL, and whether it still holds."""
        given = signature.encode("utf-8", "replace")
        made = [_sign(key, file, content_type, expires).encode() for key in self.keys]
        if not any(hmac.compare_digest(one, given) for one in made):
            return "forged"
        return "good" if now <= expires else "late"


def upload_keys(vault_keys: str) -> list[bytes]:
    """Keys for upload URLs, one from each vault key: whoever sees such a signature learns nothing of the vault."""
    keys = [key.strip().encode() for key in vault_keys.split(",") if key.strip()]
    return [hmac.digest(key, _PURPOSE, "sha256") for key in keys]


def _sign(key: bytes, file: UUID, content_type: str, expires: int) -> str:
    said = f"PUT\n{file}\n{content_type}\n{expires}".encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()
