"""HTML pages of the OAuth callback: what was connected, a form to select accounts, or what to do next.

The address of a page carries an authorization code. So a page loads and runs nothing, cannot be framed, is not cached,
sends no Referer, and contains nothing of its address.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from starlette.responses import Response

from adapters.contract import RemoteAccount
from pipeline.accounts.connected_account import ConnectedAccount, PendingSelection
from pipeline.api.html_page import build_csp, render_page

NAMES = {
    "tiktok": "TikTok",
    "instagram": "Instagram",
    "youtube": "YouTube",
    "pinterest": "Pinterest",
    "linkedin": "LinkedIn",
    "facebook": "Facebook",
}
"""Display names of the platforms."""

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
    "Content-Security-Policy": build_csp(_STYLE),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def render_connected(platform: str, accounts: Sequence[ConnectedAccount]) -> Response:
    """Return the page that lists the accounts just connected."""
    noun = "accounts are" if len(accounts) > 1 else "account is"
    items = "".join(f"<li>{_account(account)}</li>\n" for account in accounts)
    body = (
        f"<p>{len(accounts)} {NAMES[platform]} {noun} connected:</p>\n<ul>\n{items}</ul>\n"
        '<p class="next">You can close this page.</p>'
    )
    return _page(200, f"{NAMES[platform]} is connected", body)


def render_selection(platform: str, selection: PendingSelection, action: str) -> Response:
    """Return the form that selects the accounts to connect. *action*: where it is sent, relative to this page."""
    items = "".join(_option(index, account) for index, account in enumerate(selection.accounts))
    body = (
        f"<p>This login has access to {len(selection.accounts)} {NAMES[platform]} accounts. "
        "Select those to connect:</p>\n"
        f'<form method="post" action="{escape(action)}">\n'
        f'<input type="hidden" name="grant" value="{selection.session}">\n'
        f'<input type="hidden" name="ticket" value="{escape(selection.ticket)}">\n{items}'
        "<button>Connect</button>\n</form>\n"
        '<p class="next">Nothing is connected until you press the button. This page is valid for ten minutes.</p>'
    )
    page = _page(200, f"Which {NAMES[platform]} accounts?", body)
    page.headers["Content-Security-Policy"] = build_csp(_STYLE, "'self'")
    return page


def render_not_connected(status: int, platform: str, message: str) -> Response:
    """Return the page that says why nothing was connected, and what to do. *message* is escaped."""
    body = (
        f"<p>{escape(message)}</p>\n"
        '<p class="next">To start again, request a new link where you got this one, which works only once. You can '
        "close this page.</p>"
    )
    return _page(status, f"{NAMES[platform]} is not connected", body)


def _account(account: ConnectedAccount) -> str:
    return _name(account) + (", connected again" if account.was_known else "")


def _option(index: int, account: RemoteAccount) -> str:
    box = f'<input type="checkbox" name="pick" value="{index}">'
    return f"<label>{box} {_name(account)}, {escape(account.connection.replace('_', ' '))}</label>\n"


def _name(account: ConnectedAccount | RemoteAccount) -> str:
    name = escape(account.display_name or account.username or account.remote_id)
    handle = (
        f" (<bdi>{escape(account.username)}</bdi>)"
        if account.username not in ("", account.display_name)
        else ""
    )
    return f"<bdi>{name}</bdi>{handle}"


def _page(status: int, title: str, body: str) -> Response:
    text = render_page(title, _STYLE, f"<main>\n<h1>{title}</h1>\n{body}\n</main>")
    return Response(text, status, dict(_HEADERS), "text/html; charset=utf-8")
