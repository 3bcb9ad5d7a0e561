"""The platform's own sentence about a refusal, made fit to be stored and shown to a user.

A platform may quote the request in it, so secrets are redacted: the ones sent with the call (``find_secrets``),
whatever their form, and whatever looks like a token or a signed URL. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MOST = 300
"""Most characters that are kept."""
_READ = 4000
"""Characters that are read: enough for ``MOST``, and a bound on the work."""
REDACTED = "[redacted]"
_SHORTEST_SECRET = 6
_SECRET_NAMES = ("token", "secret", "signature", "proof", "password", "code", "credential", "auth_code")
_SECRET_HEADERS = ("authorization", "access-token")

_PATTERNS = (
    # a URL's user and query; signatures and upload tokens are in the query
    (re.compile(r"(?i)(\bhttps?://)[^\s/@?#]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"(?i)(\bhttps?://[^\s?#\"'<>]+)[?#][^\s\"'<>]*"), rf"\1?{REDACTED}"),
    # access_token=…, "client_secret": "…", Bearer …
    (
        re.compile(
            r"(?i)([\w-]*(?:token|secret|signature|proof|password|credential|api_?key)[\w-]*[\"']?\s*[=:]\s*[\"']?)"
            r"(?=[^\s&\"',;]*\d)[^\s&\"',;]{6,}"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer|oauth|basic)\s+(?=[\w.~+/=|-]*\d)[\w.~+/=|-]{8,}"), rf"\1 {REDACTED}"),
    # tokens by the vendors' prefixes: Meta, TikTok, Google, Pinterest
    (re.compile(r"\b(?:EAA|IGA|IGQ|act\.|rft\.|clt\.|ya29\.|1//0|GOCSPX-|pin[arc]_)[\w.~/|-]{6,}"), REDACTED),
    # anything long and random: mixed case with digits (24 and more), or hex and base 36 (32 and more)
    (re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[A-Za-z0-9_-]{24,}"), REDACTED),
    (re.compile(r"(?<![\w])(?=\w*\d)(?=\w*[a-z])[a-z0-9]{32,}"), REDACTED),
)


def clean_message(text: str | None, secrets: Iterable[str] = ()) -> str | None:
    """Return *text* without control characters and secrets, on one line of at most ``MOST`` characters; None if empty.

    *secrets* are redacted wherever they stand.
    """
    found = _join_lines((text or "")[:_READ])
    for secret in sorted(secrets, key=len, reverse=True):
        found = found.replace(secret, REDACTED)
    for pattern, replacement in _PATTERNS:
        found = pattern.sub(replacement, found)
    return (found if len(found) <= MOST else found[: MOST - 1].rstrip() + "…") or None


def compose_message(title: str | None, text: str | None) -> str | None:
    """Return a sentence with its title before it, unless it repeats the title."""
    title, text = (title or "").strip(), (text or "").strip()
    if title and text and title.casefold() not in text.casefold():
        return f"{title.removesuffix('.')}: {text}"
    return text or title or None


def find_secrets(headers: Mapping[str, str] | None, *fields: object) -> tuple[str, ...]:
    """Return the secrets that a request carries: its token, and parameters and fields with the name of a secret."""
    found = [value.rpartition(" ")[2] for name, value in (headers or {}).items() if _is_header(name)]
    named = (secret for given in fields if isinstance(given, Mapping) for secret in _find_named(given))
    return tuple(secret for secret in (*found, *named) if len(secret) >= _SHORTEST_SECRET)


def _is_header(name: str) -> bool:
    return name.casefold() in _SECRET_HEADERS


def _find_named(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, str) and any(word in name.casefold() for word in _SECRET_NAMES):
            yield value


def _join_lines(text: str) -> str:
    """Return the text on one line, without control, format and unassigned characters and lone surrogates."""
    kept = (" " if char.isspace() else char for char in text if char.isspace() or _is_shown(char))
    return " ".join("".join(kept).split())


def _is_shown(char: str) -> bool:
    return not unicodedata.category(char).startswith("C")
