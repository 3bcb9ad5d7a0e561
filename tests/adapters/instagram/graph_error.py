"""Meta's error envelope, as the Graph API's guide shows it."""

from __future__ import annotations

import json


def build_error(code: int, subcode: int | None = None, *, transient: bool = False, message: str = "…") -> str:
    """Return the error body for one (code, subcode) pair, in the shape of the vendor's sample."""
    error = {
        "message": message,
        "type": "OAuthException",
        "code": code,
        **({"error_subcode": subcode} if subcode is not None else {}),
        "is_transient": transient,
        "error_user_title": "…",
        "error_user_msg": "…",
        "fbtrace_id": "A1b2",
    }
    return json.dumps({"error": error})
