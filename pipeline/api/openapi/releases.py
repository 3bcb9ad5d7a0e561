"""The changelogs of the HTTP APIs: every version that a document had, what changed, and the digest of the document.

Versions follow SemVer. Major: a client has to change. Minor: something was added, such as a field of a response, an
optional field of a request, an operation, or a code of an error or a warning. Patch: the document says the same better.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One version of a document. ``sha256``: its digest, by ``hash_document``."""

    version: str
    changes: Sequence[str]
    sha256: str


PARTNER_RELEASES: Sequence[Release] = (
    Release(
        version="1.17.0",
        sha256="9df73cc26c00b6d7333d6ba3b7d615f4f9c5d50d0ac7377eb0daf61cf631e890",
        changes=(
            "`GET /readyz` has `parts.disk`, and is 503 while the disk of uploaded files or of the epoch file takes no "
            "writes.",
            "`DAILY_QUOTA_EXCEEDED` and the forecast of an import count inbox drafts and posts apart, each against a "
            "limit of its own: `delivered_as` of a day of the forecast says which; a day with both is listed twice.",
            "`before` of a day of the forecast also counts what was sent on that day.",
            "`held_for` may be `newer_worker`: no running worker understands all of the post. A pause is shown there "
            "before the post's time too.",
            "An edit of a post with options that this server is too old for is refused with 409 `newer_version`.",
            "`held_for` may be `storage`: this installation's storage of files cannot be used now, which costs no try.",
            "`GET /posts/steer` lists steering jobs, and `POST /posts/steer/{id}/stop` stops one, whose state is then "
            "`stopped`.",
            "The token of `POST /posts/steer` acts on the deliveries that were counted, less what changed since, "
            "for an hour; a count that is another one by now is no `plan_changed` any more. A job selects at most "
            "200,000 deliveries, when it is confirmed: `selecting` is no state of new jobs.",
            "Jobs of the same deliveries run in the order they were confirmed: `waits_for`. Cancel and pause wait for "
            "none, and earlier jobs skip what these select, with the reason `taken`.",
            "`action` of `GET /posts/{id}/explain` is a call that this key may make (`text`, `method`, `path` and "
            "`body`), or says whom to ask, instead of a `command` of the server and a `link`.",
            "`plan.hash` of an import covers the import itself and the body, accounts and verdict of each row: the "
            "hash of another import is refused with 409 `plan_changed`.",
            "Rows of an import come back with the header of their file as it is spelled and ordered there, and with "
            "the cells beyond it; `source` of a receipt has these names.",
            "The messages of applying, canceling and rolling back an import name its state and what was done.",
            "A row that edits its post (`update=true`) is rejected by the plan if the edit would be refused, as the "
            "edit says it.",
            "`candidates` of an error has all live posts of the account since the backup, the best match first; "
            "`same_time` and `likely` of each, and `unlikely_candidates`, the number that differ.",
            "`POST /webhooks`, `…/rotate`, `…/test`, `POST /files`, `POST /imports`, `POST /posts/steer` and "
            "`POST /posts/batch` take an `Idempotency-Key` of up to 255 characters, known for a day to its API key and "
            "operation: an equal request is answered 200 with `Idempotency-Replayed: true`, another one 409 "
            "`idempotency_key_reused` (of imports 202 and `create_failed` before).",
            "`failed` of `POST /posts/retry` lists the ids of posts that are not retried; more than 20 ids are 422, "
            "and the message says so if none is retried.",
            "The message of `GET /subscription` says why a plan does not publish.",
            "`GET /posts/export` is compressed with gzip or zstd for clients that accept it.",
            "`help` of an error is an absolute URL.",
            "Each answer to a counted request has the RateLimit headers, a refusal too, and so has each 429.",
            "`page` and `offset` are refused with 422 where pages have cursors.",
            "`type` of an issue is one of the listed words, which say what is wrong. An issue of `batch_refused` "
            "begins its message with the post's error code.",
            "`canceled` has one spelling: in `state` of an account, an import and a filter too. A filter still takes "
            "`cancelled`.",
            "`ai_generated` labels Facebook's videos and reels, and `media.cover` is sent to LinkedIn and with a "
            "Facebook video that is no reel; the warning `COVER_ROUNDED`, and the errors `blocked_by_policy`, "
            "`refused_for_now` and `resource_forbidden` of a post at an account.",
        ),
    ),
    Release(
        version="1.16.0",
        sha256="0e4c8baa6148cc9186194477e9c7fc8dd79c5a73e5efd8df6d984a3c024195a8",
        changes=(
            "`held` of an import: why no posts are made now, such as a full day of its key, and until when.",
        ),
    ),
    Release(
        version="1.15.0",
        sha256="6e42520d3ab75926b6a24a62ec11a2466431d92cd04a5c61619545f4dfb1c97d",
        changes=(
            "`POST /webhooks` has events of posts, accounts and imports sent to a URL, signed as Standard Webhooks "
            "says; `GET /webhooks`, `GET`, `PATCH` and `DELETE /webhooks/{id}`, `…/rotate`, `…/test`, `…/events` and "
            "`…/replay`.",
        ),
    ),
    Release(
        version="1.14.0",
        sha256="8971f9f0e52e3ad7d9fa905e6027c7f4dc544779ea023fdbb7927ac62b74a9ef",
        changes=(
            "`POST /posts/steer` cancels, retries, reschedules, pauses or resumes every delivery that a filter "
            "selects: first a count, then a job, `GET /posts/steer/{id}`, with `…/receipts`.",
        ),
    ),
    Release(
        version="1.13.1",
        sha256="1d7509ec48d04ae64f086ab521763c53e8bce730eba381ce979df8191aa3578b",
        changes=(
            "The rows of an import, and its template as CSV, are text, and its template as XLSX is octets: generated "
            "clients took them for other things.",
        ),
    ),
    Release(
        version="1.13.0",
        sha256="cdeaae910b5201a053ef4f5105024847170d9206c39c52840aadcff36343cc97",
        changes=("`GET /imports/template.csv` and `GET /imports/template.xlsx`: every column, to fill in.",),
    ),
    Release(
        version="1.12.0",
        sha256="8fefdaf73539048d6e4773f3a438c9f82887ab1d2df1c32a8a674c434df0f5ed",
        changes=(
            "`media.cover` of a video, the warnings `COVER_NOT_SUPPORTED` and `COVER_NOT_SET`, and `warnings` of an "
            "account's state.",
        ),
    ),
    Release(
        version="1.11.0",
        sha256="d38075c89b7304dcd98013ee6469df50dad2e130c8335093c070909de551b387",
        changes=(
            "`POST /imports` takes a file of posts and plans it; `GET /imports`, `/imports/{id}`, `…/forecast` and "
            "`…/rows` show its plan, what that adds to each account and day, and receipts; `…/apply`, `pause`, "
            "`resume`, `cancel` and `rollback` act on it. The error codes `import_state` and `plan_changed`.",
        ),
    ),
    Release(
        version="1.10.0",
        sha256="e0e392938f8b42e45b71782c5932cbdd0f8bf7450cc5a1865624d99886b0681f",
        changes=(
            "`media.fit` of a slideshow (`pad` or `crop`): images of a shape that a platform refuses are made to fit.",
            "The warnings `MEDIA_CONVERTED`, of an image that a platform gets as a JPEG that is made from it, and "
            "`RATIO_NOT_DOCUMENTED`.",
            "The error codes `media_not_convertible` and `conversion_timed_out` of an account.",
            "Animated images are refused.",
        ),
    ),
    Release(
        version="1.9.0",
        sha256="d635cb9166d58f7ac11b93b4b46ac55d3b7db22925a3af1ab288a9e430d784d0",
        changes=("`media.alt_texts` of a post, and the warning `ALT_TEXT_NOT_SUPPORTED`.",),
    ),
    Release(
        version="1.8.0",
        sha256="0eacaf637d7b7c63345776de934070d771427d1164f8fe14d869250f2d6c0f2c",
        changes=("`GET /posts/export` writes posts as NDJSON or CSV, as an import takes them.",),
    ),
    Release(
        version="1.7.0",
        sha256="f77cc56feca0d2f498c51a618e82fcd427e689e9350464f46ecf76f3ae1782f7",
        changes=(
            "`POST /posts/batch` creates up to 500 posts, each with a result, or with `atomic` all or none; the error "
            "code `batch_refused`.",
        ),
    ),
    Release(
        version="1.6.0",
        sha256="bee6f8c8ece5d147baa4daebc0ee8f5b43be9faf9cfc18da0dce9cf62286ef21",
        changes=(
            "`GET /posts/{id}/explain`: for each account where the post stands and since when, whose turn it is "
            "(platform, customer, operator, us), what happens next, the evidence, and the one action for a person.",
        ),
    ),
    Release(
        version="1.5.0",
        sha256="e8d1d1ad7eb89ff313d630e2fe625a07525b955bebf12557c23f335f00d8766a",
        changes=(
            "An account of a post has `held_for`, why it waits, and `next_at`, when it is touched next. Both are part "
            "of the `ETag`, and `If-Match` ignores them: an edit is not refused because a hold began or ended.",
        ),
    ),
    Release(
        version="1.4.0",
        sha256="3fc7c4adb4ba137ba488c4664535392a48ffdc1df71a2de78b8dc16972936b11",
        changes=("`ai_generated` of a post, and the warning `AI_LABEL_NOT_SUPPORTED`.",),
    ),
    Release(
        version="1.3.0",
        sha256="386ef69758e77e18e59dfdfd36662ad4d4d59ca005495b9a32ab04c2cd42bddd",
        changes=("The sections `youtube`, `instagram`, `facebook` and `linkedin` of a post.",),
    ),
    Release(
        version="1.2.0",
        sha256="716511ff681d3cfe5fe03fd2501b7a9f124ca0143cd2f7915bbd31203213f49d",
        changes=("The warning `CONSENT_NOT_STATED`, of branded content on TikTok without `user_consent`.",),
    ),
    Release(
        version="1.1.0",
        sha256="e14252c4b485e6da53170894c304295d1a3dfbd399eb7e0c89c04960b4acca31",
        changes=(
            "`ErrorCode`, `WarningCode`, `DeliveredAs`, `OnLate`, `Fault`, `ContentType`, `PostMode`, `PrivacyLevel` "
            "are named enumerations; `media`, `tiktok` and `pinterest` of a post have the types of a request.",
            "No field that may be left out has a default in the document: openapi-typescript made it a required one.",
            "An edit documents null for the fields that null clears, and no `external_id`, which it refuses.",
            "Errors: 400 documents its optional `issues`; 405, 408 and 431 and the code `bad_request` are listed "
            "everywhere. Operations that ask for no key say so (`security: []`).",
            "`POST /files` answers `parameters`, the parts of `uploadUrl`. The upload may be sent as "
            "application/octet-stream, and the file is served as such to a client that accepts just that.",
            "Failures and errors of accounts carry `help`, the address of their code in the reference.",
            "Reads answer an `ETag`, and 304 to `If-None-Match`. `RateLimit-Policy` names all limits of a key.",
            "A query parameter that is near a known one is refused; others are ignored, and named in a header.",
            "A repeated `POST /posts` answers what its post is now, with `deleted` if it was; accounts of a post "
            "have `removed` and `published_url_pending`.",
            "`POST /posts/validate` answers `validation_failed` for music that the key requires; it was the code of "
            "the warning.",
        ),
    ),
    Release(
        version="1.0.0",
        sha256="857e9a4cbb6a0af7d3083707a0d61b0509b002cec6a2687a74d64686ce2c2f59",
        changes=("The first version.",),
    ),
)
OPERATOR_RELEASES: Sequence[Release] = (
    Release(
        version="1.6.0",
        sha256="5884b7d8d13e39dc22f7041bfeaf90f6b8f323c0006740a6a21305ce278a239d",
        changes=(
            "`GET /api/operator/v1/attention` has the kind `unread`: another kind, its `reason`, took longer than 2 s "
            "to read. `overdue` begins a minute after the due time or the end of a limit, and leaves out what a "
            "limit or a pause holds.",
            "`GET /api/operator/v1/attention` lists posts that no running worker understands, by platform. `ErrorCode` "
            "has `newer_version` and `idempotency_key_reused`, which only the Partner API answers.",
            "`help` of an error is an absolute URL.",
            "Each answer to a counted request has the RateLimit headers, a refusal too, and so has each 429.",
            "`type` of an issue is one of the listed words.",
        ),
    ),
    Release(
        version="1.5.0",
        sha256="b33860f222e552032edbd3500e5f43f62fd90c7ad34ca5a0a0397bf49cac15c8",
        changes=("`GET /api/operator/v1/attention` lists the alarms of the last day.",),
    ),
    Release(
        version="1.4.0",
        sha256="e0a8c17964220d081e327ccb909ac7936670ba84b2aef2172d850898bedd8976",
        changes=("`GET /api/operator/v1/attention` lists webhooks that are paused.",),
    ),
    Release(
        version="1.3.0",
        sha256="2a4c59afb66e68c07fe15d7e01ab5416c3a9531ebee178543e95921758070d01",
        changes=("`ErrorCode` has the codes of imports.",),
    ),
    Release(
        version="1.2.0",
        sha256="b96f8fae132d355a379befa14f25648fc7acd62f3149cb5ab687576e78b560fa",
        changes=(
            "`GET /api/operator/v1/attention`: everything that needs a person, in all workspaces, each with how many, "
            "since when, and the command that deals with it. It takes the operator token.",
        ),
    ),
    Release(
        version="1.1.0",
        sha256="2a79689349ae59ab595fbfb258506520cce7034dd58498078d003b39e41ca669",
        changes=("The error code `batch_refused`, which only the Partner API answers.",),
    ),
    Release(
        version="1.0.0",
        sha256="0692d7df76004bc684aa36cf6d2726c7c05dac33007b10c251a2a12129b6e1f3",
        changes=("The first version of this document; an empty value in a query is the same as none.",),
    ),
)
"""Newest first. A release that was merged is never changed: a change of the document is a new one."""


def hash_document(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an OpenAPI document in hexadecimal.

    Its version and changelog are left out, and the examples of bodies: recorded again, they have other ids.
    """
    info = {name: value for name, value in spec["info"].items() if name not in ("version", "x-changelog")}
    kept = _without_examples({**spec, "info": info})
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _without_examples(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_examples(item) for item in part]
    if not isinstance(part, dict):
        return part
    left_out = ("example", "examples") if "schema" in part else ()
    return {name: _without_examples(value) for name, value in part.items() if name not in left_out}
