"""HTML pages of the OAuth callback: a form to confirm the accounts found, the connected accounts, or the next step.

The address of a page carries an authorization code. So a page loads and runs nothing, cannot be framed, is not cached,
sends no Referer, and contains nothing of its address.
"""

from __future__ import annotations

from html import escape

from starlette.responses import Response

from adapters.contract import RemoteAccount
from pipeline.accounts.connected_account import CompletedConnection, ConnectedAccount, PendingConfirmation
from pipeline.api.http.timestamp import format_timestamp
from pipeline.api.reference.markup import build_csp, render_page
from pipeline.domain.account import PLATFORM_NAMES
from pipeline.store.accounts.oauth_sessions import SessionOrigin

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto 0; padding: 0 1.25rem;
       color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
ul { padding-left: 1.25rem; }
form label { display: block; padding: .35rem 0; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin: 0; }
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


def render_connected(platform: str, result: CompletedConnection) -> Response:
    """Return the page that lists the accounts just connected."""
    noun = "accounts are" if len(result.accounts) > 1 else "account is"
    items = "".join(f"<li>{_account(account)}</li>\n" for account in result.accounts)
    body = (
        f"<p>{len(result.accounts)} {PLATFORM_NAMES[platform]} {noun} connected:</p>\n<ul>\n{items}</ul>\n"
        f"{_origin(result.origin)}"
        '<p class="next">You can close this page.</p>'
    )
    return _page(200, f"{PLATFORM_NAMES[platform]} is connected", body)


def render_confirmation(
    platform: str, pending: PendingConfirmation, action: str, *, is_begun_here: bool
) -> Response:
    """Return the form that asks for confirmation. *action*: where it is sent, relative to this page.

    *is_begun_here*: the client that shows the page made the link.
    """
    count = len(pending.accounts)
    if pending.is_choice:
        title = f"Which {PLATFORM_NAMES[platform]} accounts?"
        lead = (
            f"This login has access to {count} {PLATFORM_NAMES[platform]} accounts. Select those to connect:"
        )
    else:
        title = f"Connect {'these' if count > 1 else 'this'} {PLATFORM_NAMES[platform]} account{'s'[: count > 1]}?"
        lead = "You signed in with access to:"
    option = _option if pending.is_choice else _found
    items = "".join(option(index, account) for index, account in enumerate(pending.accounts))
    body = (
        f"<p>{lead}</p>\n"
        f'<form method="post" action="{escape(action)}">\n'
        f'<input type="hidden" name="grant" value="{pending.session}">\n'
        f'<input type="hidden" name="ticket" value="{escape(pending.ticket)}">\n{items}'
        f"{_origin(pending.origin)}"
        f"{'' if is_begun_here else _begun_elsewhere(pending.origin)}"
        '<button name="answer" value="connect">Connect</button>\n'
        '<button name="answer" value="decline">Do not connect</button>\n</form>\n'
        '<p class="next">No account is stored or changed until you press Connect. This page is valid for ten minutes.'
        "</p>"
    )
    page = _page(200, title, body)
    page.headers["Content-Security-Policy"] = build_csp(_STYLE, "'self'")
    return page


_TITLES = {"state_used": "This link was already used", "state_expired": "This link has expired"}
"""By error code; else the platform is not connected."""


def render_not_connected(status: int, platform: str, message: str, code: str = "") -> Response:
    """Return the page that says why nothing was connected, and what to do. *message* is escaped."""
    body = (
        f"<p>{escape(message)}</p>\n"
        '<p class="next">A link works only once: to try again, request a new one where you got this one. You can close '
        "this page.</p>"
    )
    return _page(status, _TITLES.get(code, f"{PLATFORM_NAMES[platform]} is not connected"), body)


def _account(account: ConnectedAccount) -> str:
    return _name(account) + (", connected again" if account.was_known else "")


def _option(index: int, account: RemoteAccount) -> str:
    box = f'<input type="checkbox" name="account" value="{index}">'
    return f"<label>{box} {_name(account)}, {_product(account)}</label>\n"


def _found(index: int, account: RemoteAccount) -> str:
    hidden = f'<input type="hidden" name="account" value="{index}">'
    return f"<p>{hidden}{_name(account)}, {_product(account)}</p>\n"


def _product(account: RemoteAccount) -> str:
    return escape(account.connection.replace("_", " "))


def _origin(origin: SessionOrigin) -> str:
    who = "the operator, on the command line" if origin.key is None else f"the API key {_text(origin.key)}"
    who = who if origin.user is None else _name_user(origin)
    return (
        f"<dl>\n<dt>Workspace</dt><dd>{_text(origin.workspace)}</dd>\n"
        f"<dt>Asked for by</dt><dd>{who}, at {format_timestamp(origin.started_at)}</dd>\n</dl>\n"
    )


def _name_user(origin: SessionOrigin) -> str:
    return f"{_text(origin.user or '')}, a user of the dashboard"


def _begun_elsewhere(origin: SessionOrigin) -> str:
    """Warn of a link that another user made: that user can publish to the account that it connects."""
    where = "on the command line" if origin.key is None else f"with the API key {_text(origin.key)}"
    where = where if origin.user is None else f"by {_name_user(origin)}"
    return (
        f"<p>This link was not begun in this browser but {where}. Connect only if you know who sent it to you: posts "
        f"of the workspace {_text(origin.workspace)} will be published as you.</p>\n"
    )


def _text(value: str) -> str:
    return f"<bdi>{escape(value)}</bdi>"


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
