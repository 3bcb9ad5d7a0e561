"""HTML pages of the OAuth callback: a form to confirm the accounts found, the connected accounts, or the next step.

The address of a page carries an authorization code. So a page loads and runs nothing, cannot be framed, is not cached,
sends no Referer, and contains nothing of its address.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from pipeline.accounts.connected_account import CompletedConnection, PendingConfirmation
from pipeline.api.http.timestamp import format_timestamp
from pipeline.api.reference.markup import build_csp, read_style, render_page
from pipeline.domain.account import PLATFORM_NAMES

_STYLE = read_style("oauth.css")
_HEADERS = {
    "Content-Security-Policy": build_csp(_STYLE),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def render_connected(platform: str, result: CompletedConnection) -> Response:
    """Return the page that lists the accounts just connected."""
    return _page(
        200,
        f"{PLATFORM_NAMES[platform]} is connected",
        "You can close this page.",
        connected=result,
        platform=PLATFORM_NAMES[platform],
        started_at=format_timestamp(result.origin.started_at),
    )


def render_confirmation(
    platform: str, pending: PendingConfirmation, action: str, *, is_begun_here: bool
) -> Response:
    """Return the form that asks for confirmation. *action*: where it is sent, relative to this page.

    *is_begun_here*: the client that shows the page made the link.
    """
    name, count = PLATFORM_NAMES[platform], len(pending.accounts)
    if pending.is_choice:
        title = f"Which {name} accounts?"
        lead = f"This login has access to {count} {name} accounts. Select those to connect:"
    else:
        title = f"Connect {'these' if count > 1 else 'this'} {name} account{'s'[: count > 1]}?"
        lead = "You signed in with access to:"
    page = _page(
        200,
        title,
        "No account is stored or changed until you press Connect. This page is valid for ten minutes.",
        pending=pending,
        lead=lead,
        action=action,
        is_begun_here=is_begun_here,
        started_at=format_timestamp(pending.origin.started_at),
    )
    page.headers["Content-Security-Policy"] = build_csp(_STYLE, "'self'")
    return page


_TITLES = {"state_used": "This link was already used", "state_expired": "This link has expired"}
"""By error code; else the platform is not connected."""


def render_not_connected(status: int, platform: str, message: str, code: str = "") -> Response:
    """Return the page that says why nothing was connected, and what to do."""
    title = _TITLES.get(code, f"{PLATFORM_NAMES[platform]} is not connected")
    again = "A link works only once: to try again, request a new one where you got this one. You can close this page."
    return _page(status, title, again, message=message)


def _page(status: int, title: str, what_next: str, **shown: Any) -> Response:
    parts = {"connected": None, "pending": None, "message": "", "next": what_next, **shown}
    text = render_page("oauth.html", title, _STYLE, **parts)
    return Response(text, status, dict(_HEADERS), "text/html; charset=utf-8")
