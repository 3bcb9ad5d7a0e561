"""Table of all error codes of the HTTP APIs. ``error_responses`` makes the documented responses of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One error code with its statuses, what it means, and an example of its message."""

    statuses: tuple[int, ...]
    meaning: str
    example: str


CODES: Mapping[str, ErrorCode] = {
    "invalid_json": ErrorCode(
        (400,), "the body is not JSON", "The body is not JSON: expected a value at line 1, column 1."
    ),
    "bad_request": ErrorCode((400,), "the request is not valid HTTP", "The request is not valid HTTP."),
    "unknown_accounts": ErrorCode(
        (400,),
        "an account is inactive, or does not exist within the key's scope",
        "These accounts are not yours or not active: 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812.",
    ),
    "missing_accounts": ErrorCode(
        (400,), "the list of accounts is empty", "accounts is empty: name at least one account."
    ),
    "validation_failed": ErrorCode(
        (400,),
        "a rule about caption, media, music or time is broken",
        "scheduled_at 2025-02-01T15:00:00+00:00 is in the past. Send null to publish at once.",
    ),
    "invalid_music_url": ErrorCode(
        (400,), "the link is not to a TikTok post with a sound", "music_url is no link to a TikTok post."
    ),
    "media_unreachable": ErrorCode(
        (400,),
        "a media URL failed its check",
        "media.url https://cdn.example.com/mug.mp4: it answered 404.",
    ),
    "too_many_post_ids": ErrorCode(
        (400,), "the list of posts is too long", "50 posts at most in one request; there are 51."
    ),
    "invalid_token": ErrorCode(
        (401,),
        "the key is missing, malformed, unknown, revoked or expired",
        "The API key is unknown or was revoked, or it has expired.",
    ),
    "subscription_required": ErrorCode(
        (402,),
        "no active Creator, Professional or Business plan",
        "The subscription is canceled: renew it to publish.",
    ),
    "tier_not_allowed": ErrorCode(
        (403,), "the Scheduler tier", "The Scheduler tier does not publish through the API."
    ),
    "insufficient_scope": ErrorCode(
        (403,), "the key is read-only", "This key may only read: make one without --read-only."
    ),
    "invalid_upload_url": ErrorCode(
        (403,),
        "the upload URL has expired or was changed",
        "The upload URL has expired: POST /files for a new one.",
    ),
    "not_found": ErrorCode((404,), "it does not exist within the key's scope", "There is no such post."),
    "method_not_allowed": ErrorCode(
        (405,), "the address does not take this method", "This address does not take PUT."
    ),
    "request_timeout": ErrorCode(
        (408,), "the request did not arrive in time", "The body did not arrive within 30 seconds."
    ),
    "batch_refused": ErrorCode(
        (400,),
        "an atomic batch has posts that are refused; nothing was stored, and the issues name them",
        "1 of 2 posts is refused, so nothing was stored. Post 1: caption: It is required.",
    ),
    "create_failed": ErrorCode(
        (409, 500),
        "409: the external_id was used for another body; 500: an internal error, safe to repeat",
        "external_id 'order-1' was used for a post with another body.",
    ),
    "post_in_flight": ErrorCode(
        (409,),
        "the post is being sent; nothing was changed",
        "The part for tiktok account 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812 is being sent, or may be live already; "
        "nothing was changed.",
    ),
    "newer_version": ErrorCode(
        (409,),
        "the post has options that this server is too old for; nothing was changed",
        "The post has options of a newer version (level 3; this server has level 2). Nothing was changed: repeat the "
        "request when the server is upgraded.",
    ),
    "external_id_immutable": ErrorCode(
        (409,), "external_id cannot be changed", "external_id cannot be changed: repeats are known by it."
    ),
    "idempotency_key_reused": ErrorCode(
        (409,),
        "the Idempotency-Key was used for another request within the last day; nothing was done",
        "Idempotency-Key 'order-1' was used for another request within the last day; nothing was done. Use a new key "
        "for a new request, or repeat the earlier one exactly.",
    ),
    "import_state": ErrorCode(
        (409,),
        "the import is in another state, or its file and rows have expired",
        "The import is being read: apply needs one that is planned.",
    ),
    "plan_changed": ErrorCode(
        (409,),
        "the plan of the import is another one by now; nothing was applied",
        "2 rows would be planned otherwise now; nothing was applied. The file is planned again: read the import.",
    ),
    "file_immutable": ErrorCode(
        (409,),
        "other bytes were uploaded before",
        "The file was uploaded before with other bytes and never changes: POST /files for a new one.",
    ),
    "account_inactive": ErrorCode(
        (409,),
        "the operator took the account out of use",
        "tiktok account acme was taken out of use by the operator.",
    ),
    "precondition_failed": ErrorCode(
        (412,),
        "the post is not the version of If-Match any more",
        "The post has changed since you read it: read it again.",
    ),
    "payload_too_large": ErrorCode(
        (413,), "the body is too large", "The body is larger than 1,000,000 bytes."
    ),
    "unsupported_media_type": ErrorCode(
        (415,),
        "the body is not application/json in UTF-8",
        "Content-Type 'text/plain' is not read: send application/json in UTF-8.",
    ),
    "range_not_satisfiable": ErrorCode(
        (416,), "the file ends before the range", "The file has 1,048,576 bytes."
    ),
    "invalid_payload": ErrorCode((422,), "the request does not match the schema", "caption: It is required."),
    "rate_limited": ErrorCode(
        (429,),
        "the key has reached its rate, or has too many requests in progress",
        "This key may send 60 posts a minute.",
    ),
    "headers_too_large": ErrorCode(
        (431,), "the head of the request is too large", "The request's head is larger than 65,536 bytes."
    ),
    "internal_error": ErrorCode((500,), "a fault of this server", "Something went wrong."),
    "not_configured": ErrorCode(
        (500,),
        "the message names the missing setting",
        "SLIPWAY_TIKTOK__APP_ID is empty: register an app at tiktok first.",
    ),
    "unavailable": ErrorCode(
        (503,),
        "the database is unreachable, or the server is overloaded",
        "The database cannot be reached. Repeat the request in a few seconds.",
    ),
}
