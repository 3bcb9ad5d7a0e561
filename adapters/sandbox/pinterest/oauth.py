"""Pinterest's token endpoint: authorization codes, and rotating refresh tokens of 60 days."""

import base64
import binascii

from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import FORM, TokenEndpoint
from adapters.sandbox.pinterest import api
from adapters.sandbox.store import Record

CONSENT = ConsentScreen(**api.TABLE["consent"])


def _parse_client(call: Call) -> tuple[str | None, str | None]:
    """Return the client id and secret of HTTP Basic authentication."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client, _, secret = decoded.partition(":")
    return (client, secret) if scheme == "Basic" else (None, None)


def _check_form(call: Call, _: Record) -> None:
    if call.request.content_type != FORM:
        raise api.invalid(f"Invalid request: the body must be {FORM}.")


TOKENS = TokenEndpoint(
    platform=api.PLATFORM,
    render=api.error_response,
    respond=api.ok,
    check=_check_form,
    read_client=_parse_client,
    **api.TABLE["tokens"],
)
