"""URLs of uploaded files: the public URL, which cannot be guessed, and the signed upload URL."""

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
from pipeline.media.url_policy import parse_target

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
"""Every type that may be uploaded, and the ending of its URL."""
_PURPOSE = b"slipway: upload URLs, 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadUrls:
    """Makes and checks the URLs. ``keys``: secrets, newest first; the newest signs, all verify."""

    public: str
    """Start of public URLs, such as ``https://host``, without a slash at the end."""
    keys: Sequence[bytes] = field(repr=False)

    def create_name(self, content_type: str) -> str:
        """Return the last part of a new file's URL: 256 random bits and an ending, which some platforms look at."""
        return f"{secrets.token_urlsafe(32)}.{ENDINGS[content_type]}"

    def public_url(self, name: str) -> str:
        """Return the public URL."""
        return f"{self.public}{PATH}{name}"

    def parse_name(self, url: str) -> str | None:
        """Return the file's name in the URL, in any spelling of it; None if it is not a URL of an uploaded file."""
        parts = urlsplit(self.public)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        origin = f"{parts.scheme}://{host}:{port}"
        try:
            there = parse_target(url, {origin})
        except Refused:
            return None
        below = parts.path + PATH
        if there.origin != origin or not there.path.startswith(below):
            return None
        return there.path.removeprefix(below)

    def sign_query(self, file: UUID, content_type: str, expires: int) -> str:
        """Return the query of an upload URL. ``expires``: seconds since the Unix epoch."""
        signature = _sign(self.keys[0], file, content_type, expires)
        return urlencode({"type": content_type, "expires": expires, "signature": signature})

    def verify(
        self, file: UUID, content_type: str, expires: int, signature: str, now: float
    ) -> Literal["good", "forged", "late"]:
        """Check the signature of an upload URL, and whether it has expired ("late")."""
        given = signature.encode("utf-8", "replace")
        made = [_sign(key, file, content_type, expires).encode() for key in self.keys]
        if not any(hmac.compare_digest(one, given) for one in made):
            return "forged"
        return "good" if now <= expires else "late"


def derive_upload_keys(vault_keys: str) -> list[bytes]:
    """Derive a key for upload URLs from each vault key; a signature reveals nothing about the vault key."""
    keys = [key.strip().encode() for key in vault_keys.split(",") if key.strip()]
    return [hmac.digest(key, _PURPOSE, "sha256") for key in keys]


def _sign(key: bytes, file: UUID, content_type: str, expires: int) -> str:
    message = f"PUT\n{file}\n{content_type}\n{expires}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()
