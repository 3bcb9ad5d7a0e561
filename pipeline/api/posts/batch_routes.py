"""POST /posts/batch: many posts in one request, each by the rules of POST /posts. No media check is waited for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from starlette.requests import Request

from pipeline.api.http.envelope import SuccessResponse, build_error_link, success
from pipeline.api.http.json_body import parse_json, read_json_body
from pipeline.api.openapi.error_codes import CODES
from pipeline.api.openapi.error_responses import BODY_ERRORS, KEY_ERRORS, PLAN_ERRORS, error_responses
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import PARTNER_API, Operation
from pipeline.api.posts.batch_schema import (
    MAX_PARTS,
    Batch,
    BatchBody,
    BatchResult,
    RefusedPost,
    StoredPost,
    read_batch,
    read_each,
)
from pipeline.api.posts.response_models import CreatedPost
from pipeline.api.posts.routes import describe_accepted
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.key_limits import KeyLimits
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.ingest_bulk import BatchRefused, Result, ingest_bulk
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptedPost, Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.api")


async def create_posts(request: Request) -> SuccessResponse[BatchResult]:
    """Create up to 500 posts. Each has a result, in order; one that is refused keeps no other from being stored."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_publisher(request)
    raw = await read_json_body(request, caller.key_id, app_state.context.settings.api.max_batch_body)
    # on a thread of bulk work: reading 16 MB would stop the event loop, and with it every other request
    bulkhead = app_state.bulk_bulkhead
    batch = await bulkhead.run(partial(_parse, raw), caller.key_id)
    _refuse_over_limit(len(batch.posts), caller.limits.over(app_state.default_limits))
    rate_headers = await app_state.charge_rate_limit(caller, len(batch.posts))
    result = await bulkhead.run(partial(_store, app_state, caller, batch), caller.key_id)
    return success(_describe(result), result, headers=rate_headers)


def _parse(raw: bytes) -> Batch:
    return read_batch(parse_json(raw, MAX_PARTS))


def _refuse_over_limit(posts: int, limits: KeyLimits) -> None:
    """Raise Refusal 400 for more posts than the key may ever send at once: to repeat them would not help."""
    for most, span in ((limits.posts_per_minute, "a minute"), (limits.posts_per_day, "a day")):
        if most and posts > most:
            message = (
                f"This key may send {most} posts {span}, so {most} at most in one batch; there are {posts}."
            )
            issue = build_issue(("posts",), message, "too_long", posts)
            raise Refusal(400, "validation_failed", message, [issue])


def _store(app_state: AppState, caller: Caller, batch: Batch) -> BatchResult:
    """Read and store the posts. Raises Refusal 400 when one of an atomic batch is refused, and Unreachable."""
    entries = [
        read if isinstance(read, Refusal) else Submission(caller=caller, request=read)
        for read in read_each(batch.posts, app_state.rules)
    ]
    try:
        results = ingest_bulk(app_state.context, entries, atomic=batch.atomic)
    except BatchRefused as error:
        raise _refuse_batch(error, len(entries)) from None
    return build_result(results)


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
    """Return the refusal of an atomic batch; each refused post is an issue whose type is the post's error code."""
    issues = []
    for n, error in refused.failures.items():
        refusal = _to_refusal(error)
        place = refusal.issues[0]["path"] if refusal.issues else ""
        path = ("posts", n, place) if place else ("posts", n)
        issues.append(build_issue(path, refusal.message, refusal.code))
    first = next(iter(refused.failures))
    count = f"{len(issues)} of {posts} posts {'is' if len(issues) == 1 else 'are'} refused"
    message = f"{count}, so nothing was stored. Post {first}: {issues[0]['message']}"
    return Refusal(400, "batch_refused", message, issues)


def _describe(result: BatchResult) -> str:
    return f"{result.accepted} stored, {result.duplicates} accepted before, {result.refused} refused"


OPERATIONS = (
    Operation(
        id="createPosts",
        method="POST",
        path=f"{PARTNER_API}/posts/batch",
        handler=create_posts,
        tag=POSTS,
        returns="The result for each post; 200 also if some of them, or all, are refused.",
        is_rate_limited=True,
        body=BatchBody,
        errors=error_responses(
            *KEY_ERRORS,
            *BODY_ERRORS,
            *PLAN_ERRORS,
            "batch_refused",
            "create_failed",
            validation_failed="more posts than the key may send in a minute or a day",
        ),
    ),
)
