"""The page a person's browser lands on after a platform's consent page: what was connected, or what to do now.

It loads nothing, runs nothing, may not be framed, is not kept, and tells no other site where it came from: its address
carries a code. Nothing of that address is ever written into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from starlette.responses import Response

from adapters.contract import RemoteAccount
from pipeline.accounts.connected_account import Choice, Connected
from pipeline.api.html_page import framed, policy

NAMES = {
    "tiktok": "TikTok",
    "instagram": "Instagram",
    "youtube": "YouTube",
    "pinterest": "Pinterest",
    "linkedin": "LinkedIn",
    "facebook": "Facebook",
}
"""The platforms as people write them."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto 0; padding: 0 1.25rem;
       color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
ul { padding-left: 1.25rem; }
form label { display: block; padding: .35rem 0; }
form button { font: inherit; padding: .45rem 1.4rem; margin: 1rem 0 0; }
p.next { border-left: 3px solid #8a8a8a; padding-left: .75rem; }
@media (prefers-color-scheme: dark) { body { color: #ececec; background: #161616; } }
"""
_HEADERS = {
    "Content-Security-Policy": policy(_STYLE),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def connected(platform: str, accounts: Sequence[Connected]) -> Response:
    """Which accounts can be published to from now on."""
    several = "accounts are" if len(accounts) > 1 else "account is"
    items = "".join(f"<li>{_account(one)}</li>\n" for one in accounts)
    body = (
        f"<p>{len(accounts)} {NAMES[platform]} {several} connected:</p>\n<ul>\n{items}</ul>\n"
        '<p class="next">You can close this page and go back to where you came from.</p>'
    )
    return _page(200, f"{NAMES[platform]} is connected", body)


def choice(platform: str, choice: Choice, action: str) -> Response:
    """Asks which accounts are to be published to. ``action``: where the answer goes, seen from this page's address."""
    items = "".join(_option(place, one) for place, one in enumerate(choice.accounts))
    body = (
        f"<p>This login may publish as {len(choice.accounts)} {NAMES[platform]} accounts. Tick those to connect:</p>\n"
        f'<form method="post" action="{escape(action)}">\n'
        f'<input type="hidden" name="grant" value="{choice.grant}">\n'
        f'<input type="hidden" name="ticket" value="{escape(choice.ticket)}">\n{items}'
        "<button>Connect</button>\n</form>\n"
        '<p class="next">Nothing is connected before you press the button; this page is good for ten minutes.</p>'
    )
    shown = _page(200, f"Publish to {NAMES[platform]} as whom?", body)
    shown.headers["Content-Security-Policy"] = policy(_STYLE, "'self'")
    return shown


def not_connected(status: int, platform: str, message: str) -> Response:
    """Why nothing was connected, and what to do; ``message`` is a sentence of ours, and is escaped."""
    body = (
        f"<p>{escape(message)}</p>\n"
        '<p class="next">Go back to where you came from; you can close this page. To start again, ask there for a '
        "new link: this one does not work twice.</p>"
    )
    return _page(status, f"{NAMES[platform]} is not connected", body)


def _account(one: Connected) -> str:
    return _named(one) + (", connected again" if one.was_known else "")


def _option(place: int, one: RemoteAccount) -> str:
    box = f'<input type="checkbox" name="pick" value="{place}">'
    return f"<label>{box} {_named(one)}, {escape(one.connection.replace('_', ' '))}</label>\n"


def _named(one: Connected | RemoteAccount) -> str:
    name = escape(one.display_name or one.username or one.remote_id)
    handle = f" (<bdi>{escape(one.username)}</bdi>)" if one.username not in ("", one.display_name) else ""
    return f"<bdi>{name}</bdi>{handle}"


def _page(status: int, title: str, body: str) -> Response:
    text = framed(title, _STYLE, f"<main>\n<h1>{title}</h1>\n{body}\n</main>")
    return Response(text, status, dict(_HEADERS), "text/html; charset=utf-8")
