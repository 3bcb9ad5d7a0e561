"""Every error code there is, and what to do about it; puts onto each documented refusal the codes that it may carry.

A refusal's description names its codes, as words; that is the one place where they are written down. What the OpenAPI
page shows as an enum, with an example of each, is read from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.api.openapi.samples import sample

CODES: Mapping[str, str] = {
    "invalid_token": "The API key is unknown or was revoked, or it has expired.",
    "subscription_required": "The subscription is canceled: renew it to publish.",
    "tier_not_allowed": "The Scheduler tier does not publish through the API.",
    "insufficient_scope": "This key may only read: make one without --read-only.",
    "request_timeout": "The body did not arrive within 30 seconds.",
    "payload_too_large": "The body is larger than 1,000,000 bytes.",
    "unsupported_media_type": "Content-Type 'text/plain' is not read: send application/json in UTF-8.",
    "rate_limited": "This key may send 60 posts a minute.",
    "invalid_json": "The body is not JSON: expected a value at line 1, column 1.",
    "invalid_payload": "caption: It is missing.",
    "create_failed": "external_id 'order-1' was used for a post with another body.",
    "unknown_accounts": "These accounts are not yours or not active: 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812.",
    "missing_accounts": "accounts is empty: name at least one account.",
    "validation_failed": "scheduled_at 2025-02-01T15:00:00+00:00 is in the past. Leave it out to publish at once.",
    "invalid_music_url": "music_url is no link to a TikTok post.",
    "media_unreachable": "media.url https://cdn.example.com/mug.mp4: it answered 404.",
    "too_many_post_ids": "50 posts at most in one request; there are 51.",
    "not_found": "There is no such post.",
    "post_in_flight": "The part for tiktok account 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812 is being sent, or may be live "
    "already; nothing was changed.",
    "external_id_immutable": "external_id cannot be changed: repeats are known by it.",
    "precondition_failed": "The post has changed since you read it: read it again.",
    "invalid_upload_url": "The upload URL has expired: POST /files for a new one.",
    "file_immutable": "The file was uploaded before with other bytes and never changes.",
    "range_not_satisfiable": "The file ends before that range.",
    "account_inactive": "tiktok account acme was taken out of use by the operator.",
    "not_configured": "SLIPWAY_TIKTOK__APP_ID is empty: register an app at tiktok first.",
    "internal_error": "Something went wrong.",
    "unavailable": "The database cannot be reached. Repeat the request in a moment.",
}
"""An example of the sentence that comes with each; the sentence is for people, the code for programs."""

_WORD = re.compile(r"[a-z]+(?:_[a-z]+)*")


def codes_of(description: str) -> Sequence[str]:
    """The codes that a description names, in its order."""
    return [word for word in dict.fromkeys(_WORD.findall(description)) if word in CODES]


def spell_out(spec: Mapping[str, Any]) -> None:
    """Gives every documented refusal its codes and an example of each."""
    for status, answer in refusals(spec):
        told = answer["content"]["application/json"]
        codes = codes_of(answer["description"])
        whole = sample(told["schema"], spec["components"]["schemas"])
        told["examples"] = {code: {"value": {**whole, **_example(status, code)}} for code in codes}
        narrow = {"properties": {"code": {"const": status}, "error_code": {"enum": codes}}}
        if codes:
            told["schema"] = {"allOf": [told["schema"], narrow]}


def refusals(spec: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every documented refusal in our envelope, with its status."""
    for item in spec["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and "application/json" in answer.get("content", {}):  # noqa: PLR2004
                    yield int(status), answer


def _example(status: int, code: str) -> dict[str, Any]:
    told = {"ok": False, "code": status, "message": CODES[code], "error_code": code}
    if code == "invalid_payload":
        told["issues"] = [{"path": "caption", "message": "It is missing.", "type": "missing"}]
    return told
