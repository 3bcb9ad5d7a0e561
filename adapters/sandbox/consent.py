"""The page on which a person lets an app act for their accounts; each platform has one, at the vendor's path.

A person chooses and presses Allow or Deny. A test adds `auto=allow&username=ann` (or `auto=deny`) to the address and is
sent back at once. Parameters and the way back: RFC 6749 sections 4.1.1 and 4.1.2, RFC 7636, and the vendors' pages.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web

from adapters.sandbox.endpoint import Endpoint
from adapters.sandbox.grants import GrantRefused, check_redirect
from adapters.sandbox.responses import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.endpoint import Call, Dialect
    from adapters.sandbox.store import Record

    Asked: TypeAlias = list[tuple[str, str]]

_OWN = ("auto", "username", "new_username", "decision")
"""Parameters of this page; everything else is the app's and must survive the form."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{vendor} (sandbox)</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}}
label{{display:block;padding:.3rem 0}}button{{font:inherit;padding:.4rem 1.2rem;margin:1rem .5rem 0 0}}</style></head>
<body><h1>{vendor} <small>(sandbox)</small></h1>
<p>The app <b>{client}</b> asks to act for your account: {scopes}.</p>
<form method="post" action="?">{hidden}{accounts}
<label>or a new account named <input name="new_username" autocomplete="off"></label>
<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button>
</form></body></html>
"""
_NO_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{vendor} (sandbox)</title></head>
<body><h1>{vendor} <small>(sandbox)</small></h1><p>{sentence}</p></body></html>
"""


def _none(*_: object) -> Record:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentScreen:
    """How one vendor asks."""

    vendor: str
    """As people know it."""
    platform: str | Callable[[Record], str]
    """Whose accounts are offered; a function where the app's parameters decide."""
    code_life: float
    """Seconds."""
    client: str = "client_id"
    """The parameter that names the app."""
    digest: str = "base64url"
    """How an S256 challenge is written: base64url or hex."""
    allows_several: bool = False
    """More than one account can be chosen."""
    deny_parameters: Record = field(default_factory=lambda: {"error": "access_denied"})
    """What comes back on Deny, beside `state`."""
    allow_parameters: Callable[[Record], Record] = _none
    """What comes back on Allow beside `code` and `state`, given the app's parameters."""
    code_fields: Callable[[SandboxContext, Record, list[Record]], Record] = _none
    """What more the code record carries, given the app's parameters and the chosen accounts."""
    fragment: str = ""

    def endpoint(self, platform: str, dialect: Dialect) -> Endpoint:
        """Serve the page, for GET and for the form's POST; `platform` is the one that faults name."""

        async def answer(call: Call) -> web.Response:
            return _answer(self, call)

        return Endpoint(
            platform=platform, step="consent", handle=answer, dialect=dialect, owner=lambda _: None
        )


def _answer(screen: ConsentScreen, call: Call) -> web.Response:
    asked = parse_qsl(call.request.query_string, keep_blank_values=True)
    asked += parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    given: Record = dict(asked)
    platform = screen.platform if isinstance(screen.platform, str) else screen.platform(given)
    _check(screen, call, platform, given)
    match given.get("auto") or given.get("decision"):
        case "deny":
            return _back(screen, call, given, screen.deny_parameters)
        case "allow":
            chosen = _chosen(screen, call, platform, asked)
            return _back(screen, call, given, _granted(screen, call, given, chosen))
        case _:
            return _form(screen, call, platform, asked)


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _wrong(screen: ConsentScreen, sentence: str) -> Refused:
    return Refused(_page(_NO_PAGE.format(vendor=screen.vendor, sentence=html.escape(sentence)), 400))


def _check(screen: ConsentScreen, call: Call, platform: str, given: Record) -> None:
    """Nobody is sent anywhere before the app and its address are known to be good."""
    redirect = given.get("redirect_uri", "")
    try:
        parts = urlsplit(redirect)
    except ValueError:
        raise _wrong(screen, "redirect_uri is not a URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise _wrong(screen, "redirect_uri must be an absolute URL without a fragment.")
    try:
        check_redirect(call.context, platform, given.get(screen.client), redirect)
    except GrantRefused as refusal:
        raise _wrong(screen, refusal.sentence) from None
    if given.get("response_type") != "code":
        raise _wrong(screen, "response_type must be code.")
    if "code_challenge" in given and given.get("code_challenge_method", "plain") not in ("S256", "plain"):
        raise _wrong(screen, "code_challenge_method must be S256.")


def _offered(call: Call, platform: str) -> list[Record]:
    return [
        account
        for account in call.context.store.get_all("account").values()
        if account["platform"] == platform
    ]


def _chosen(screen: ConsentScreen, call: Call, platform: str, asked: Asked) -> list[Record]:
    new = next((value for name, value in asked if name == "new_username" and value), None)
    if new is not None:
        return [call.context.accounts.ensure(platform, new, {})]
    names = [name for key, value in asked if key == "username" for name in value.split(",") if name]
    offered = _offered(call, platform)
    if not names:
        names = [account["username"] for account in offered[: None if screen.allows_several else 1]]
    chosen = [account for account in offered if account["username"] in names]
    if len(chosen) != len(set(names)) or not chosen:
        raise _wrong(screen, f"There is no such account: {', '.join(names) or 'none was made yet'}.")
    return chosen if screen.allows_several else chosen[:1]


def _granted(screen: ConsentScreen, call: Call, given: Record, chosen: list[Record]) -> Record:
    challenge = given.get("code_challenge")
    method = given.get("code_challenge_method", "plain")
    more: Record = {
        "grant": {
            "client_id": given.get(screen.client),
            "redirect_uri": given["redirect_uri"],
            "challenge": challenge,
            "method": screen.digest if method == "S256" else "plain",
        },
        **screen.code_fields(call.context, given, chosen),
    }
    possible = call.context.accounts.list_scopes(chosen[0])
    if (scopes := [scope for scope in parse_scopes(given) if scope in possible]) and "scopes" not in more:
        more["scopes"] = scopes
    code = call.context.accounts.create_token(chosen[0], "code", "code-", screen.code_life, 0.0, more)
    return {"code": code, **screen.allow_parameters(given)}


def parse_scopes(given: Record) -> list[str]:
    """The scopes an app asks for; vendors separate them by commas or by spaces."""
    return str(given.get("scope", "")).replace(",", " ").split()


def _back(screen: ConsentScreen, call: Call, given: Record, told: Record) -> web.Response:
    state = {"state": given["state"]} if "state" in given else {}
    redirect = given["redirect_uri"]
    joint = "&" if urlsplit(redirect).query else "?"
    place = f"{redirect}{joint}{urlencode(told | state)}{screen.fragment}"
    # 303 after the form: the browser goes on with GET.
    return web.Response(status=302 if call.request.method == "GET" else 303, headers={"Location": place})


def _form(screen: ConsentScreen, call: Call, platform: str, asked: Asked) -> web.Response:
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in asked
        if name not in _OWN
    )
    sort = "checkbox" if screen.allows_several else "radio"
    accounts = "".join(
        f'<label><input type="{sort}" name="username" value="{html.escape(account["username"])}" checked> '
        f"{html.escape(account['display_name'])} (@{html.escape(account['username'])})</label>"
        for account in _offered(call, platform)
    )
    given = dict(asked)
    return _page(
        _PAGE.format(
            vendor=screen.vendor,
            client=html.escape(given[screen.client]),
            scopes=html.escape(", ".join(parse_scopes(given)) or "everything"),
            hidden=hidden,
            accounts=accounts,
        )
    )
