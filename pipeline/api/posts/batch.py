"""POST /posts/batch: many posts in one request, each by the rules of POST /posts. No media check is waited for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, create_model
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import Scope
from typing_extensions import TypeAliasType

from adapters.post_options import at_most
from pipeline.api.http.dependencies import REPLAYED, parse_json, read_idempotency_key, read_json_body
from pipeline.api.http.envelope import SuccessResponse, build_error_link, success
from pipeline.api.http.middleware import REQUEST_ID, note, note_posts
from pipeline.api.http.refused_keys import record_refusals
from pipeline.api.http.response_models import DocumentedAs, Failure, Issue, ResponseModel, Success, is_empty
from pipeline.api.http.validation import (
    Body,
    build_invalid_payload,
    find_unsafe_text,
    has_escapes,
    is_short,
    validate_body,
)
from pipeline.api.openapi.codes import CODES
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import BODY_ERRORS, CLAIM_ERRORS, KEY_ERRORS, PLAN_ERRORS, Routes
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.response_models import CreatedPost
from pipeline.api.posts.routes import describe_accepted
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.account import KeyLimits
from pipeline.domain.explanation_action import Right
from pipeline.domain.validation_issue import build_issue
from pipeline.runtime.context import Context
from pipeline.stages.ingest import BatchRefused, Entry, Result, ingest_bulk
from pipeline.stages.mandate import CODE
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.stages.replay import Replayed, claim_key
from pipeline.store.auth.keys import Caller
from pipeline.store.database import Unreachable, new_id
from pipeline.store.idempotency_keys import IdempotencyKey

MAX_BATCH_POSTS = 500
MAX_PARTS = 400 * MAX_BATCH_POSTS
"""Brackets, braces and commas of a body: a post of 35 images with every option has under 200."""


class BatchFields(Body):
    """Posts to create, each as POST /posts takes it, and each with an external_id of its own where it has one."""

    posts: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH_POSTS), at_most(MAX_BATCH_POSTS)]
    atomic: bool | None = Field(
        None,
        description="true: all or none. Default: a post that is refused keeps no other from being stored.",
    )


_POSTS: Any = Annotated[list[PostBody], Field(min_length=1, max_length=MAX_BATCH_POSTS)]  # type: ignore[valid-type]
BatchBody = create_model("BatchBody", __base__=BatchFields, __doc__=BatchFields.__doc__, posts=(_POSTS, ...))
"""The body as it is documented; ``read_batch`` reads each post by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The bodies of a batch, not yet read."""

    posts: Sequence[Any]
    atomic: bool
    request_id: str | None = None
    """The id of the request, which every post of it keeps."""
    has_escapes: bool = True
    """True if its text may hold a NUL or a lone surrogate, which ``find_unsafe_text`` then looks for."""
    key: IdempotencyKey | None = None


def read_batch(body: Any) -> Batch:
    """Parse the body around the posts. Raises Refusal 422."""
    if isinstance(body, dict) and (
        found := find_unsafe_text({name: value for name, value in body.items() if name != "posts"})
    ):
        raise build_invalid_payload(found)
    batch = validate_body(BatchFields, body, is_safe=True)
    return Batch(posts=batch.posts, atomic=bool(batch.atomic))


def read_each(batch: Batch, rules: Rules) -> list[PostRequest | Refusal]:
    """Parse each post; the result of one that is no post is its refusal."""
    return [_read(batch, body, rules) for body in batch.posts]


def _read(batch: Batch, body: Any, rules: Rules) -> PostRequest | Refusal:
    is_safe = not batch.has_escapes and isinstance(body, dict) and is_short(body)
    try:
        return read_post(body, rules, is_safe=is_safe, request_id=batch.request_id)
    except Refusal as refusal:
        return refusal


class StoredPost(Success[CreatedPost]):
    """The post is stored (201), or an equal request was accepted before (200)."""


class RefusedPost(Failure):
    """The post is not stored; the answer that POST /posts would have given."""

    issues: Annotated[list[dict[str, Any]], DocumentedAs(list[Issue])] = Field(
        default=[], exclude_if=is_empty
    )


PostResult = TypeAliasType("PostResult", StoredPost | RefusedPost)


class BatchResult(ResponseModel):
    """The result for each post of a batch, in the order sent."""

    accepted: int = Field(description="Posts that this request stored.")
    duplicates: int = Field(description="Posts that an equal request had stored before.")
    refused: int = Field(description="Posts that are not stored.")
    results: list[PostResult]

    def describe(self) -> str:
        """Return the counts as a sentence."""
        return f"{self.accepted} stored, {self.duplicates} accepted before, {self.refused} refused"


log = logging.getLogger("slipway.api")


def store_batch(
    context: Context, caller: Caller, batch: Batch, rules: Rules
) -> tuple[Sequence[Result], bool]:
    """Read and store the posts; return what became of each, and whether the batch with this key came before.

    A replay finds the posts that were stored and takes up the others: a post that was refused may be good by now.
    Raises Refusal 400 when one of an atomic batch is refused, 409 as ``claim_key``, and Unreachable.
    """
    requests = read_each(batch, rules)
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


routes = Routes(tag=POSTS, path="/posts")


@routes.add(
    "POST",
    "/batch",
    "The result for each post; 200 also if some of them, or all, are refused.",
    *KEY_ERRORS,
    *BODY_ERRORS,
    *PLAN_ERRORS,
    CLAIM_ERRORS[0],
    "batch_refused",
    "create_failed",
    meanings={"validation_failed": "more posts than the key may send in a minute or a day"},
    is_rate_limited=True,
    body=BatchBody,
    takes_key=True,
)
async def create_posts(request: Request) -> SuccessResponse[BatchResult]:
    """Create up to 500 posts. Each has a result, in order; one that is refused keeps no other from being stored."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request, Right.PUBLISH, is_audited=False)
    request.state.caller = caller
    raw = await read_json_body(request, caller.key_id, app_state.context.settings.api.max_batch_body)
    # on a thread of bulk work: reading 16 MB would stop the event loop, and with it every other request
    bulkhead = app_state.bulk_bulkhead
    batch = await bulkhead.run(partial(_parse, raw, request, caller), caller.key_id)
    _refuse_over_limit(len(batch.posts), caller.limits.over(app_state.default_limits))
    await app_state.charge_rate_limit(request, caller, len(batch.posts))
    results, result, is_replay = await bulkhead.run(partial(_store, app_state, caller, batch), caller.key_id)
    _note_results(request.scope, results, result)
    refused = (one for one in result.results if isinstance(one, RefusedPost) and one.error_code == CODE)
    await record_refusals(request, [one.message for one in refused])
    return success(result.describe(), result, headers=REPLAYED if is_replay else {})


def _parse(raw: bytes, request: Request, caller: Caller) -> Batch:
    body = parse_json(raw, MAX_PARTS)
    key = read_idempotency_key(request, caller, body)
    request_id, escapes = request.scope[REQUEST_ID], has_escapes(raw)
    return replace(read_batch(body), request_id=request_id, has_escapes=escapes, key=key)


def _store(app_state: AppState, caller: Caller, batch: Batch) -> tuple[Sequence[Result], BatchResult, bool]:
    results, is_replay = store_batch(app_state.context, caller, batch, app_state.rules)
    return results, build_result(results), is_replay


def _note_results(scope: Scope, results: Sequence[Result], result: BatchResult) -> None:
    note(scope, refused=result.refused)
    refused = [
        {"position": n, "code": one.error_code, "status": one.code}
        for n, one in enumerate(result.results)
        if isinstance(one, RefusedPost)
    ]
    note_posts(scope, {one.id: one.deliveries for one in results if isinstance(one, AcceptedPost)}, refused)


def _refuse_over_limit(posts: int, limits: KeyLimits) -> None:
    """Raise Refusal 400 for more posts than the key may ever send at once: to repeat them would not help."""
    for most, span in ((limits.posts_per_minute, "a minute"), (limits.posts_per_day, "a day")):
        if most and posts > most:
            message = (
                f"This key may send {most} posts {span}, so {most} at most in one batch; there are {posts}."
            )
            issue = build_issue(("posts",), message, "too_long", posts)
            raise Refusal(400, "validation_failed", message, [issue])
