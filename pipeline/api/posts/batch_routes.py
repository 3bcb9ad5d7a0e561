"""POST /posts/batch: many posts in one request, each by the rules of POST /posts. No media check is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.types import Scope

from pipeline.api.http.dependencies import REPLAYED, parse_json, read_idempotency_key, read_json_body
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.middleware import REQUEST_ID, note, note_posts
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import (
    BODY_ERRORS,
    CLAIM_ERRORS,
    KEY_ERRORS,
    PARTNER_API,
    PLAN_ERRORS,
    Operation,
    error_responses,
)
from pipeline.api.posts.batch import (
    MAX_PARTS,
    Batch,
    BatchBody,
    BatchResult,
    RefusedPost,
    build_result,
    read_batch,
    store_batch,
)
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.account import KeyLimits
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.ingest import Result
from pipeline.stages.post_request import AcceptedPost, Refusal
from pipeline.store.auth.keys import Caller


async def create_posts(request: Request) -> SuccessResponse[BatchResult]:
    """Create up to 500 posts. Each has a result, in order; one that is refused keeps no other from being stored."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_publisher(request, is_audited=False)
    raw = await read_json_body(request, caller.key_id, app_state.context.settings.api.max_batch_body)
    # on a thread of bulk work: reading 16 MB would stop the event loop, and with it every other request
    bulkhead = app_state.bulk_bulkhead
    batch = await bulkhead.run(partial(_parse, raw, request, caller), caller.key_id)
    _refuse_over_limit(len(batch.posts), caller.limits.over(app_state.default_limits))
    await app_state.charge_rate_limit(request, caller, len(batch.posts))
    results, result, is_replay = await bulkhead.run(partial(_store, app_state, caller, batch), caller.key_id)
    _note_results(request.scope, results, result)
    return success(result.describe(), result, headers=REPLAYED if is_replay else {})


def _parse(raw: bytes, request: Request, caller: Caller) -> Batch:
    body = parse_json(raw, MAX_PARTS)
    key = read_idempotency_key(request, caller, body)
    return replace(read_batch(body), request_id=request.scope[REQUEST_ID], key=key)


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
        takes_key=True,
        errors=error_responses(
            *KEY_ERRORS,
            *BODY_ERRORS,
            *PLAN_ERRORS,
            CLAIM_ERRORS[0],
            "batch_refused",
            "create_failed",
            validation_failed="more posts than the key may send in a minute or a day",
        ),
    ),
)
