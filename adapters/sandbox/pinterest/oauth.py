"""Pinterest's token endpoint: authorization codes, and rotating refresh tokens of 60 days."""

import base64
import binascii
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.grants import GrantRefused, check_client, redeem_code, use_refresh_token
from adapters.sandbox.pinterest.dialect import DIALECT, PLATFORM, error_response, invalid, ok
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

_CODE_LIFE_S = 600.0
_BAD_GRANT = 283

CONSENT_SCREEN = ConsentScreen(vendor="Pinterest", platform=PLATFORM, code_life=_CODE_LIFE_S)


def _read_form(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _parse_client(call: Call) -> tuple[str | None, str | None]:
    """Return the client id and secret of HTTP Basic authentication."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client, _, secret = decoded.partition(":")
    return (client, secret) if scheme == "Basic" else (None, None)


async def issue_token(call: Call) -> web.Response:
    """POST /v5/oauth/token."""
    form = _read_form(call)
    if call.request.content_type != "application/x-www-form-urlencoded":
        raise invalid("Invalid request: the body must be application/x-www-form-urlencoded.")
    try:
        return _grant(call, form)
    except GrantRefused as refusal:
        status = 401 if refusal.reason == "client" else 400
        code = 2 if refusal.reason == "client" else _BAD_GRANT
        message = (
            "Authentication failed." if refusal.reason == "client" else "The authorization grant is invalid."
        )
        raise Refused(error_response(status, code, message)) from None


def _grant(call: Call, form: dict[str, str]) -> web.Response:
    client, secret = _parse_client(call)
    match form.get("grant_type"):
        case "authorization_code":
            account, code = redeem_code(
                call.context,
                PLATFORM,
                form.get("code"),
                client_id=client,
                secret=secret,
                redirect_uri=form.get("redirect_uri"),
                verifier=form.get("code_verifier"),
            )
            return _issue_tokens(call, account, code, "authorization_code", None)
        case "refresh_token":
            check_client(call.context, PLATFORM, client, secret)
            text = form.get("refresh_token", "")
            account, found = use_refresh_token(call.context, PLATFORM, text)
            return _issue_tokens(call, account, found, "refresh_token", text)
        case _:
            raise invalid("Invalid request: grant_type must be authorization_code or refresh_token.")


def _issue_tokens(
    call: Call, account: Record, source: Record, grant_type: str, replaced: str | None
) -> web.Response:
    accounts = call.context.accounts
    issued = accounts.issue_tokens(account, replaces=replaced, source=source)
    refresh_life = issued["refresh_expires_in"]
    return ok(
        {
            "access_token": issued["access_token"],
            "refresh_token": issued["refresh_token"],
            "response_type": grant_type,
            "token_type": "bearer",
            "expires_in": issued["expires_in"],
            "refresh_token_expires_in": refresh_life,
            "refresh_token_expires_at": int(call.context.clock.now()) + refresh_life,
            "scope": " ".join(accounts.list_granted_scopes(source, account)),
        }
    )


def _find_owner(call: Call) -> Record | None:
    form = _read_form(call)
    found = call.context.accounts.find_token(PLATFORM, form.get("refresh_token") or form.get("code") or "")
    return None if found is None else call.context.accounts.find(PLATFORM, found["remote_id"])


def _get_step(call: Call) -> str:
    return "refresh" if _read_form(call).get("grant_type") == "refresh_token" else "oauth"


CONSENT = CONSENT_SCREEN.endpoint(PLATFORM, DIALECT)
TOKEN = Endpoint(platform=PLATFORM, step=_get_step, handle=issue_token, dialect=DIALECT, owner=_find_owner)
