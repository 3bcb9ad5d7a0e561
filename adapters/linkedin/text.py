r"""The caption in LinkedIn's "little text": reserved signs escaped, hashtags left as hashtags. Pure.

An unescaped reserved sign does not fail: LinkedIn answers 201 and cuts the text there. Escaped are
``| { } @ [ ] ( ) < > # \ * _ ~``, but not the ``#`` that begins a hashtag; mentions are not made, so every ``@`` is
text. Source: learn.microsoft.com/linkedin/marketing/community-management/shares/little-text-format, read 2026-11-24.
"""

from __future__ import annotations

import re

_RESERVED = re.compile(r"[|{}@\[\]()<>#\\*_~]")
_HASHTAG = re.compile(r"(?<![\w#&/])#(?=[^\W_])(?=\w*[^\W\d_])")
"""Before it nothing that belongs to a word or an address; behind it a letter or digit, and somewhere a letter."""


def little_text(caption: str) -> str:
    """What goes out as ``commentary``."""
    hashtags = {match.start() for match in _HASHTAG.finditer(caption)}
    return _RESERVED.sub(
        lambda sign: sign[0] if sign.start() in hashtags else f"\\{sign[0]}",
        caption,
    )


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2
