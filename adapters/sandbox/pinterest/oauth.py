"""Pinterest's token endpoint: authorization codes, and rotating refresh tokens of 60 days."""

import base64
import binascii

from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import FORM, TokenEndpoint
from adapters.sandbox.pinterest.dialect import PLATFORM, error_response, invalid, ok
from adapters.sandbox.store import Record

CONSENT = ConsentScreen(vendor="Pinterest", platform=PLATFORM, code_life=600.0)


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
        raise invalid(f"Invalid request: the body must be {FORM}.")


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    render=error_response,
    errors={
        "client": (401, 2, "Authentication failed."),
        "grant_type": (
            400,
            1,
            "Invalid request: grant_type must be authorization_code or refresh_token.",
        ),
        "any": (400, 283, "The authorization grant is invalid."),
    },
    respond=ok,
    check=_check_form,
    read_client=_parse_client,
    token_type="bearer",  # noqa: S106 - RFC 6750's name
    owner_fields=("refresh_token", "code"),
    fields=(
        "access_token",
        "refresh_token",
        "response_type",
        "token_type",
        "expires_in",
        "refresh_token_expires_in",
        "refresh_token_expires_at",
        "scope",
    ),
)
