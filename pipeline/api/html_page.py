"""The one frame of our pages: they load nothing and run nothing, so their content policy has no exception."""

from __future__ import annotations

import base64
import hashlib

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def framed(title: str, style: str, body: str) -> bytes:
    """The page. ``title`` and ``body`` are HTML, escaped by the caller."""
    return _FRAME.format(title=title, style=style, body=body).encode("utf-8", "replace")


def policy(style: str, form: str = "'none'") -> str:
    """The Content-Security-Policy of a page with this style. ``form``: where its forms may be sent."""
    mark = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{mark}'; base-uri 'none'; form-action {form}; frame-ancestors 'none'"
