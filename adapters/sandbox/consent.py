"""OAuth consent pages, one per vendor, at the vendor's own path.

A user selects an account and presses Allow or Deny. A test adds `auto=allow&username=ann` (or `auto=deny`) to the URL
and is redirected at once. Request and response: RFC 6749 sections 4.1.1 and 4.1.2, RFC 7636, and the vendors' pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import jinja2
from aiohttp import web

from adapters.sandbox.dialect import Refused
from adapters.sandbox.endpoint import Route, get_no_owner
from adapters.sandbox.oauth import GrantRefused, check_redirect

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.dialect import Dialect
    from adapters.sandbox.endpoint import Call
    from adapters.sandbox.store import Record

    Pairs: TypeAlias = list[tuple[str, str]]

_PAGE_PARAMETERS = ("auto", "username", "new_username", "decision")
"""Parameters of this page; the form passes on all others, which are the app's."""
_PAGE = jinja2.Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"), autoescape=True)


def _none(*_: object) -> Record:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentScreen:
    """The consent page of one vendor."""

    vendor: str
    """Name shown on the page."""
    platform: str | Callable[[Record], str]
    """Platform of the listed accounts; a function of the app's parameters where they decide."""
    code_life: float
    """Seconds."""
    client: str = "client_id"
    """Name of the parameter with the app's id."""
    challenge_encoding: str = "base64url"
    """Encoding of an S256 challenge: base64url or hex."""
    allows_several: bool = False
    """Several accounts can be selected."""
    deny_parameters: Record = field(default_factory=lambda: {"error": "access_denied"})
    """Parameters of the redirect after Deny, in addition to `state`."""
    allow_parameters: Callable[[Record], Record] = _none
    """Return parameters of the redirect after Allow, next to `code` and `state`, given the app's parameters."""
    code_fields: Callable[[SandboxContext, Record, list[Record]], Record] = _none
    """Return further fields of the code's record, given the app's parameters and the selected accounts."""
    fragment: str = ""
    """Appended to the redirect, with its `#`."""

    def route(self, path: str, dialect: Dialect | None = None) -> Route:
        """Return the endpoint for GET and the form's POST at `path`."""
        return Route("GET POST", path, "consent", self.serve, owner=get_no_owner, dialect=dialect)

    async def serve(self, call: Call) -> web.Response:
        """Show the page, or redirect to the app."""
        return _serve(self, call)


def _serve(screen: ConsentScreen, call: Call) -> web.Response:
    pairs = parse_qsl(call.request.query_string, keep_blank_values=True)
    pairs += parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    parameters: Record = dict(pairs)
    platform = screen.platform if isinstance(screen.platform, str) else screen.platform(parameters)
    _check(screen, call, platform, parameters)
    match parameters.get("auto") or parameters.get("decision"):
        case "deny":
            return _redirect(screen, call, parameters, screen.deny_parameters)
        case "allow":
            selected = _select_accounts(screen, call, platform, pairs)
            return _redirect(screen, call, parameters, _issue_code(screen, call, parameters, selected))
        case _:
            return _render_form(screen, call, platform, pairs)


def _render(screen: ConsentScreen, status: int = 200, **values: object) -> web.Response:
    text = _PAGE.render(vendor=screen.vendor, **values)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _refuse(screen: ConsentScreen, message: str) -> Refused:
    return Refused(_render(screen, 400, message=message))


def _check(screen: ConsentScreen, call: Call, platform: str, parameters: Record) -> None:
    """Refuse a bad request with an error page: a redirect follows only to a checked redirect URI."""
    redirect = parameters.get("redirect_uri", "")
    try:
        parts = urlsplit(redirect)
    except ValueError:
        raise _refuse(screen, "redirect_uri is not a URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise _refuse(screen, "redirect_uri must be an absolute URL without a fragment.")
    try:
        check_redirect(call.context, platform, parameters.get(screen.client), redirect)
    except GrantRefused as refusal:
        raise _refuse(screen, refusal.message) from None
    if parameters.get("response_type") != "code":
        raise _refuse(screen, "response_type must be code.")
    method = parameters.get("code_challenge_method", "plain")
    if "code_challenge" in parameters and method not in ("S256", "plain"):
        raise _refuse(screen, "code_challenge_method must be S256.")


def _select_accounts(screen: ConsentScreen, call: Call, platform: str, pairs: Pairs) -> list[Record]:
    new = next((value for name, value in pairs if name == "new_username" and value), None)
    if new is not None:
        return [call.context.accounts.ensure(platform, new, {})]
    names = [name for key, value in pairs if key == "username" for name in value.split(",") if name]
    accounts = call.context.accounts.list_all(platform)
    if not names:
        names = [account["username"] for account in accounts[: None if screen.allows_several else 1]]
    selected = [account for account in accounts if account["username"] in names]
    if len(selected) != len(set(names)) or not selected:
        raise _refuse(screen, f"There is no such account: {', '.join(names) or 'none exists yet'}.")
    return selected if screen.allows_several else selected[:1]


def _issue_code(screen: ConsentScreen, call: Call, parameters: Record, selected: list[Record]) -> Record:
    names = {"client_id": screen.client, "redirect_uri": "redirect_uri", "challenge": "code_challenge"}
    grant = {field: parameters.get(name) for field, name in names.items()}
    is_hashed = parameters.get("code_challenge_method") == "S256"
    grant["method"] = screen.challenge_encoding if is_hashed else "plain"
    allowed = call.context.accounts.list_scopes(selected[0])
    scopes = [scope for scope in parse_scopes(parameters) if scope in allowed]
    more: Record = {"scopes": scopes} if scopes else {}
    more |= {"grant": grant, **screen.code_fields(call.context, parameters, selected)}
    code = call.context.accounts.create_token(selected[0], "code", "code-", screen.code_life, 0.0, more)
    return {"code": code, **screen.allow_parameters(parameters)}


def parse_scopes(parameters: Record) -> list[str]:
    """Return the scopes that an app requests; vendors separate them by commas or by spaces."""
    return str(parameters.get("scope", "")).replace(",", " ").split()


def _redirect(screen: ConsentScreen, call: Call, parameters: Record, answer: Record) -> web.Response:
    state = {"state": parameters["state"]} if "state" in parameters else {}
    redirect = parameters["redirect_uri"]
    separator = "&" if urlsplit(redirect).query else "?"
    location = f"{redirect}{separator}{urlencode(answer | state)}{screen.fragment}"
    # 303 after the form, so that the browser follows with GET.
    return web.Response(status=302 if call.request.method == "GET" else 303, headers={"Location": location})


def _render_form(screen: ConsentScreen, call: Call, platform: str, pairs: Pairs) -> web.Response:
    parameters = dict(pairs)
    return _render(
        screen,
        client=parameters[screen.client],
        scopes=", ".join(parse_scopes(parameters)) or "everything",
        hidden=[pair for pair in pairs if pair[0] not in _PAGE_PARAMETERS],
        accounts=call.context.accounts.list_all(platform),
        input_type="checkbox" if screen.allows_several else "radio",
    )
