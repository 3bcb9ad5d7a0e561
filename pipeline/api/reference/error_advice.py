"""Table of what causes each error code of a response, and what to do about it. The reference shows it by code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Advice(NamedTuple):
    """Why a code appears, and what its reader can do. Markdown with code only."""

    cause: str
    action: str


ERRORS: Mapping[str, Advice] = {
    "account_inactive": Advice(
        "The operator of this server took the account out of use, so it cannot be connected again.",
        "Ask the operator to put the account back into use, or publish to another one.",
    ),
    "bad_request": Advice(
        "The request is not valid HTTP, so nothing of it was read.",
        "Send the request with a common HTTP library; look for a proxy that changes it.",
    ),
    "batch_refused": Advice(
        "A batch was sent with `atomic: true`, and at least one of its posts is refused.",
        "Read `issues`: each names a post by its position (`posts.3`), what is wrong and the code. Correct or leave "
        "out these posts and send the batch again, or send it without `atomic`.",
    ),
    "create_failed": Advice(
        "409: the `external_id` (or `Idempotency-Key`) belongs to a post with another body. 500: the server failed "
        "while "
        "it stored the post.",
        "409: use a new id for a new post, or repeat the original body exactly. 500: repeat the same request with "
        "the same "
        "id; it is never published twice.",
    ),
    "idempotency_key_reused": Advice(
        "The header `Idempotency-Key` names an earlier request of this key and operation with another body or path, "
        "less than a day ago. Nothing was done.",
        "Use a new key for a new request, for example a random UUID. To repeat the earlier request, send its body "
        "exactly.",
    ),
    "external_id_immutable": Advice(
        "An edit contains `external_id`. Repeated requests are recognized by it, so it stays as it was created.",
        "Remove `external_id` from the edit.",
    ),
    "file_immutable": Advice(
        "A file was uploaded to this URL before, with other bytes. A file never changes.",
        "Open a new upload with `POST /files`.",
    ),
    "headers_too_large": Advice(
        "The request line and headers are larger than 64 KiB.",
        "Send fewer or shorter headers and a shorter query.",
    ),
    "import_state": Advice(
        "The import is in another state than the action needs, or its file and rows were removed after their time.",
        "Read the import; send the file again if it has expired.",
    ),
    "insufficient_scope": Advice(
        "The key is read-only, or is restricted to accounts and asks for more.",
        "Use a key with the right; the operator makes one with `slipway key create`.",
    ),
    "internal_error": Advice(
        "A fault of this server, recorded in its log under the `X-Request-Id` of the response.",
        "Repeat the request; if it fails again, give the operator the request id.",
    ),
    "invalid_json": Advice(
        "The body is not JSON: empty, cut off, a duplicate key, NaN, text after the value, not UTF-8, or nested too "
        "deep.",
        "Build the body with a JSON library. The message names line and column.",
    ),
    "invalid_music_url": Advice(
        "`music_url` is no link to a TikTok post, or the post or its sound does not exist.",
        "Send a link such as `https://www.tiktok.com/@name/video/1234567890`, or null for no music.",
    ),
    "invalid_payload": Advice(
        "The body or query is well-formed, but does not match the schema. `issues` lists every reason with its "
        "place.",
        "Correct what `issues` names; a mistyped key comes with the name that is near.",
    ),
    "invalid_token": Advice(
        "The key is missing, malformed, unknown, revoked or expired.",
        "Send `Authorization: Bearer <public id>.<secret>` with a valid key; the operator lists keys with "
        "`slipway key list`.",
    ),
    "invalid_upload_url": Advice(
        "The upload URL was changed, or is older than ten minutes.",
        "Open a new upload with `POST /files` and use its `uploadUrl` unchanged.",
    ),
    "media_unreachable": Advice(
        "A media URL was fetched to check it, and did not return a usable file: not found, no permission, the wrong "
        "type, "
        "or no answer. The message names the URL and what was seen.",
        "Open the URL without cookies or login; it must be https and return the file itself. Then send the post "
        "again: "
        "failed checks are not cached.",
    ),
    "method_not_allowed": Advice(
        "The path exists, but not with this method.", "Use a method that the `Allow` header names."
    ),
    "missing_accounts": Advice(
        "`accounts` is an empty array.", "Name at least one account of `GET /accounts`."
    ),
    "not_configured": Advice(
        "The operator has not configured an app at this platform.",
        "Ask the operator to set what the message names.",
    ),
    "not_found": Advice(
        "It does not exist, was deleted, or belongs to another workspace, which looks the same.",
        "Check the id and the key; `GET /posts` lists what the key may see.",
    ),
    "newer_version": Advice(
        "The post has options that this server does not know: another server of this installation is newer. Nothing "
        "was changed.",
        "Repeat the request when all servers are upgraded. Reading, cancelling and deleting go on working.",
    ),
    "payload_too_large": Advice(
        "The body or file is larger than the limit in the message, or than what is left of the workspace's quota.",
        "Send less. Videos and images are not part of a post's body: upload them with `POST /files`, or send their "
        "URL.",
    ),
    "plan_changed": Advice(
        "The hash is not that of the import's plan, or rows would be planned otherwise now: `issues` lists them. "
        "Nothing was applied.",
        "Read the import until it is planned, check the plan, and apply it with its new hash.",
    ),
    "post_in_flight": Advice(
        "At least one account's part of the post is being sent, or may already be live. Nothing was changed.",
        "Read the post until it is settled. What is live cannot be edited or canceled here.",
    ),
    "precondition_failed": Advice(
        "The post has changed since the version that `If-Match` names.",
        "Read the post again, decide whether the edit still applies, and send it with the new `ETag`.",
    ),
    "range_not_satisfiable": Advice(
        "The requested range begins after the end of the file.", "Use the size in `Content-Range`."
    ),
    "rate_limited": Advice(
        "The key has used its posts for this minute, or has too many requests or uploads in progress. At an "
        "account: the "
        "platform asked to slow down.",
        "Wait as long as `Retry-After` says, then repeat. At an account: nothing; it is tried again by itself.",
    ),
    "request_timeout": Advice(
        "The head or body of the request did not arrive within 30 seconds.",
        "Check the connection and repeat; a repeated post is published once.",
    ),
    "subscription_required": Advice(
        "The workspace has no active Creator, Professional or Business plan.",
        "Renew the plan. Reading, canceling and deleting work without one.",
    ),
    "tier_not_allowed": Advice(
        "The Scheduler plan does not publish through the API.",
        "Change to a Creator, Professional or Business plan.",
    ),
    "too_many_post_ids": Advice(
        "The list holds more posts than one request may change.",
        "Send several requests, each with as many ids as the message allows.",
    ),
    "unavailable": Advice(
        "The database or file storage cannot be reached, the server is overloaded, or it is being stopped.",
        "Wait as long as `Retry-After` says, then repeat the same request.",
    ),
    "unknown_accounts": Advice(
        "An account does not exist within the key's scope, or is not active. The message names them.",
        "Use ids of `GET /accounts`; an account that is missing there has to be connected (again).",
    ),
    "unsupported_media_type": Advice(
        "The body is not `application/json` in UTF-8, is compressed, or a file is not of the type that was declared.",
        "Send `Content-Type: application/json` and no `Content-Encoding`; upload a file with the type of its `POST "
        "/files`.",
    ),
    "validation_failed": Advice(
        "A rule about the caption, the media, the music, the accounts or the time is broken. The message names the "
        "rule, "
        "the limit and the value found.",
        "Change the value; the tables of the platforms list all limits. `POST /posts/validate` reports everything "
        "at once.",
    ),
}
"""By error code of a response."""
