"""The page a person's browser lands on after a platform's consent page: what was connected, or what to do now.

It loads nothing, runs nothing, may not be framed, is not kept, and tells no other site where it came from: its address
carries a code. Nothing of that address is ever written into it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from starlette.responses import Response

from pipeline.stages.connect import Connected

NAMES = {
    "tiktok": "TikTok", "instagram": "Instagram", "youtube": "YouTube", "pinterest": "Pinterest",
    "linkedin": "LinkedIn", "facebook": "Facebook",
}  # fmt: skip
"""The platforms as people write them."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto 0; padding: 0 1.25rem;
       color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
ul { padding-left: 1.25rem; }
p.next { border-left: 3px solid #8a8a8a; padding-left: .75rem; }
@media (prefers-color-scheme: dark) { body { color: #ececec; background: #161616; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def connected(platform: str, accounts: Sequence[Connected]) -> Response:
    """Which accounts can be published to from now on."""
    several = "accounts are" if len(accounts) > 1 else "account is"
    items = "".join(f"<li>{_account(one)}</li>\n" for one in accounts)
    body = (
        f"<p>{len(accounts)} {NAMES[platform]} {several} connected:</p>\n<ul>\n{items}</ul>\n"
        '<p class="next">You can close this page and go back to where you came from.</p>'
    )
    return _page(200, f"{NAMES[platform]} is connected", body)


def not_connected(status: int, platform: str, message: str) -> Response:
    """Why nothing was connected, and what to do; ``message`` is a sentence of ours, and is escaped."""
    body = (
        f"<p>{escape(message)}</p>\n"
        '<p class="next">Go back to where you came from; you can close this page. To start again, ask there for a '
        "new link: this one does not work twice.</p>"
    )
    return _page(status, f"{NAMES[platform]} is not connected", body)


def _account(one: Connected) -> str:
    name = escape(one.display_name or one.username or one.remote_id)
    handle = f" (<bdi>{escape(one.username)}</bdi>)" if one.username not in ("", one.display_name) else ""
    again = ", connected again" if one.was_known else ""
    return f"<bdi>{name}</bdi>{handle}{again}"


def _page(status: int, title: str, body: str) -> Response:
    text = _PAGE.format(title=title, style=_STYLE, body=body)
    return Response(text.encode("utf-8", "replace"), status, dict(_HEADERS), "text/html; charset=utf-8")
