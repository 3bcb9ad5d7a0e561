r"""Captions in LinkedIn's "little text" format: reserved signs are escaped, hashtags are kept. Pure.

An unescaped reserved sign is no error: LinkedIn responds 201 and cuts the text there. These are escaped:
``| { } @ [ ] ( ) < > # \ * _ ~``, except the ``#`` that begins a hashtag; ``@`` never makes a mention. Source:
learn.microsoft.com/linkedin/marketing/community-management/shares/little-text-format, read 2026-11-24.
"""

from __future__ import annotations

import re

_RESERVED = re.compile(r"[|{}@\[\]()<>#\\*_~]")
_HASHTAG = re.compile(r"(?<![\w#&/])#(?=[^\W_])(?=\w*[^\W\d_])")
"""No word or address character stands before the ``#``; a letter or digit follows, and one of them is a letter."""


def escape_little_text(caption: str) -> str:
    """Return the caption as ``commentary`` carries it."""
    hashtags = {match.start() for match in _HASHTAG.finditer(caption)}
    return _RESERVED.sub(
        lambda sign: sign[0] if sign.start() in hashtags else f"\\{sign[0]}",
        caption,
    )
