"""Stores the posts of a batch, and makes of each outcome the answer that POST /posts would have given."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

from pipeline.api.http.envelope import build_error_link
from pipeline.api.openapi.codes import CODES
from pipeline.api.posts.batch_schema import Batch, BatchResult, RefusedPost, StoredPost, read_each
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.response_models import CreatedPost
from pipeline.api.posts.routes import describe_accepted
from pipeline.domain.validation_issue import build_issue
from pipeline.runtime.context import Context
from pipeline.stages.ingest import BatchRefused, Entry, Result, ingest_bulk
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.stages.replay import Replayed, claim_key
from pipeline.store.auth.keys import Caller
from pipeline.store.database import Unreachable, new_id
from pipeline.store.idempotency_keys import IdempotencyKey

log = logging.getLogger("slipway.api")


def store_batch(
    context: Context, caller: Caller, batch: Batch, rules: Rules
) -> tuple[Sequence[Result], bool]:
    """Read and store the posts; return what became of each, and whether the batch with this key came before.

    A replay finds the posts that were stored and takes up the others: a post that was refused may be good by now.
    Raises Refusal 400 when one of an atomic batch is refused, 409 as ``claim_key``, and Unreachable.
    """
    requests = read_each(batch.posts, rules, batch.request_id)
    identity = new_id()
    try:
        entries = _build_entries(caller, requests, None if batch.key is None else identity)
        results = ingest_bulk(
            context, entries, atomic=batch.atomic, claim=partial(_claim, key=batch.key, identity=identity)
        )
        return results, False
    except Replayed as earlier:
        entries = _build_entries(caller, requests, earlier.resource)
        return ingest_bulk(context, entries, atomic=batch.atomic), True
    except BatchRefused as error:
        raise _refuse_batch(error, len(requests)) from None


def _build_entries(
    caller: Caller, requests: Sequence[PostRequest | Refusal], batch: UUID | None
) -> list[Entry]:
    """Return the posts to store. Those of a *batch* with an Idempotency-Key are recognized by it for good."""
    return [
        read
        if isinstance(read, Refusal)
        else Submission(
            caller=caller,
            request=read,
            row_token=None
            if batch is None or read.external_id is not None
            else f"key:{batch}:{read.fingerprint.hex()}",
        )
        for read in requests
    ]


def _claim(c: Connection, key: IdempotencyKey | None, identity: UUID) -> None:
    """Claim the key for this batch, in each of its transactions."""
    try:
        claim_key(c, key, identity)
    except Replayed as earlier:
        if earlier.resource != identity:
            raise


def build_result(results: Sequence[Result]) -> BatchResult:
    """Return the results of a batch as they are answered."""
    accepted = [result for result in results if isinstance(result, AcceptedPost)]
    duplicates = sum(result.duplicate for result in accepted)
    return BatchResult(
        accepted=len(accepted) - duplicates,
        duplicates=duplicates,
        refused=len(results) - len(accepted),
        results=[_to_answer(result) for result in results],
    )


def _to_answer(result: Result) -> StoredPost | RefusedPost:
    if isinstance(result, AcceptedPost):
        return StoredPost(
            ok=True,
            code=200 if result.duplicate else 201,
            message=describe_accepted(result),
            data=CreatedPost.model_validate(result),
        )
    refusal = _to_refusal(result)
    return RefusedPost(
        ok=False,
        code=refusal.status,
        message=refusal.message,
        error_code=refusal.code,
        help=build_error_link(refusal.code),
        issues=[dict(issue) for issue in refusal.issues],
    )


def _to_refusal(error: Exception) -> Refusal:
    """Return what POST /posts answers to this error, without the details of one that is ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Unreachable):
        return Refusal(503, "unavailable", CODES["unavailable"].example)
    log.error("a post of a batch failed", exc_info=error)
    return Refusal(500, "create_failed", "The post could not be stored; it is safe to repeat the request.")


def _refuse_batch(refused: BatchRefused, posts: int) -> Refusal:
    """Return the refusal of an atomic batch; each refused post is an issue, which begins with its error code."""
    issues = []
    for n, error in refused.failures.items():
        refusal = _to_refusal(error)
        place = refusal.issues[0]["path"] if refusal.issues else ""
        path = ("posts", n, place) if place else ("posts", n)
        kind = refusal.issues[0]["type"] if refusal.issues else "rule"
        issues.append(build_issue(path, f"{refusal.code}: {refusal.message}", kind))
    first, error = next(iter(refused.failures.items()))
    count = f"{len(issues)} of {posts} posts {'is' if len(issues) == 1 else 'are'} refused"
    message = f"{count}, so nothing was stored. Post {first}: {_to_refusal(error).message}"
    return Refusal(400, "batch_refused", message, issues)
