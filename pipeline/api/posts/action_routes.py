"""PATCH /posts/{id}, POST /posts/retry, /cancel, /delete and /validate.

Cancel and delete need a key but no active plan: a customer whose subscription lapsed can still stop scheduled posts.
Edit, retry and validate need a plan that publishes, as a new post does, and count against the key's rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pipeline.actions import cancel_delete_retry as actions
from pipeline.actions import edit
from pipeline.actions.post_changes import EditResult
from pipeline.actions.validate import ValidationResult, validate
from pipeline.api.http.dependencies import (
    REPLAYED,
    Call,
    Charge,
    Claim,
    Publisher,
    RawBody,
    Writer,
    parse_id,
    parse_json_or_empty,
    require_kept,
)
from pipeline.api.http.envelope import SuccessResponse, refuse_unknown, success
from pipeline.api.http.middleware import note_posts
from pipeline.api.http.refused_keys import record_refusals
from pipeline.api.http.representation import strip_encodings
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import BODY_ERRORS, ETAG_HEADER, Routes, header_parameter
from pipeline.api.posts import action_schema as schema
from pipeline.api.posts.action_response_models import (
    CancelResult,
    DeleteResult,
    RetryResult,
    UpdatedPost,
    ValidationReport,
)
from pipeline.api.posts.routes import POST_ID, PostId
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.stages.mandate import CODE
from pipeline.stages.post_request import PostRequest
from pipeline.stages.replay import Replayed

routes = Routes(tag=POSTS, path="/posts")
_RESULTS = "The result for each post."


@routes.add(
    "PATCH",
    "/{post_id:post}",
    "The post is changed, in all its fields at once.",
    *BODY_ERRORS,
    "mandate_exceeded",
    "unknown_accounts",
    "missing_accounts",
    "invalid_music_url",
    "media_unreachable",
    "post_in_flight",
    "newer_version",
    "external_id_immutable",
    "precondition_failed",
    meanings={"validation_failed": "a rule is broken, or the post is settled"},
    headers=ETAG_HEADER,
    body=schema.PatchBody,
    parameters=[
        POST_ID,
        header_parameter("If-Match", {"type": "string"}, "ETag of the version to change, or *."),
    ],
)
async def update_post(call: Publisher, raw: RawBody, _: Charge) -> SuccessResponse[UpdatedPost]:
    """Change a post. Nothing of the old version is published after this response; 409 if that cannot be ensured."""
    app_state, caller, request = call.app_state, call.caller, call.request
    change = schema.read_change(parse_json_or_empty(raw), app_state.rules)
    post_id = parse_id(request.path_params["post_id"])
    if post_id is None:
        raise refuse_unknown("post")
    if_match = strip_encodings(request.headers.get("if-match"))
    work = partial(edit.edit, app_state.context, caller, post_id, change, if_match)
    edited = await app_state.choose_bulkhead(caller).run(work, caller.key_id)
    return _answer("Post updated", edited)


@routes.add(
    "POST",
    "/{post_id:post}/schedule",
    "The draft is on its way.",
    *BODY_ERRORS,
    "mandate_exceeded",
    "media_unreachable",
    "newer_version",
    meanings={"validation_failed": "the post is no draft, or a rule is broken"},
    headers=ETAG_HEADER,
)
async def schedule_post(
    call: Publisher, body: schema.ScheduleBody, post_id: PostId, key: Claim, _: Charge
) -> SuccessResponse[UpdatedPost]:
    """Send a draft on its way, at a time or at once.

    Repeated without the Idempotency-Key of the first request, it is 400: the post is a draft no more.
    """
    app_state, caller = call.app_state, call.caller
    bulkhead, change = app_state.choose_bulkhead(caller), schema.to_change(body)
    try:
        work = partial(edit.edit, app_state.context, caller, post_id, change, key=key)
        return _answer("Post scheduled", await bulkhead.run(work, caller.key_id))
    except Replayed as earlier:
        find = partial(edit.find_edited, app_state.context, caller, earlier.resource)
        edited = require_kept(await bulkhead.run(find, caller.key_id))
        return _answer("Post was scheduled before", edited, REPLAYED)


def _answer(
    message: str, edited: EditResult, headers: Mapping[str, str] = {}
) -> SuccessResponse[UpdatedPost]:
    headers = {"ETag": f'"{edited.version}"', **headers}
    return success(message, UpdatedPost.model_validate(edited), headers=headers)


@routes.add("POST", "/retry", _RESULTS, is_rate_limited=True, body=schema.RetryBody)
async def retry_posts(call: Publisher, raw: RawBody) -> SuccessResponse[RetryResult]:
    """Retry failed posts, only at accounts where they failed: never where the post is posted or may be live."""
    app_state, caller = call.app_state, call.caller
    chosen = schema.read_retry(parse_json_or_empty(raw))
    await app_state.charge_rate_limit(call.request, caller, len(chosen.post_ids))
    note_posts(call.request.scope, dict.fromkeys(chosen.post_ids, ()))
    work = partial(actions.retry, app_state.context, caller, chosen.post_ids, chosen.account_ids)
    bulkhead = app_state.bulk_bulkhead if caller.bulk else app_state.action_bulkhead
    done = await bulkhead.run(work, caller.key_id)
    await record_refusals(call.request, [one for one in done.errors.values() if one.startswith(CODE)])
    result = RetryResult.from_result(done)
    return success(result.describe(), result)


@routes.add("POST", "/cancel", _RESULTS, *BODY_ERRORS, "too_many_post_ids", body=schema.CancelBody)
async def cancel_posts(call: Writer, raw: RawBody) -> SuccessResponse[CancelResult]:
    """Cancel posts. Those being sent stay unchanged and are named in errors."""
    chosen = schema.read_cancel(parse_json_or_empty(raw))
    note_posts(call.request.scope, dict.fromkeys(chosen.post_ids, ()))
    done = await call.act(actions.cancel, chosen.post_ids, chosen.account_ids)
    return success("Posts canceled", CancelResult.from_result(done))


@routes.add("POST", "/delete", _RESULTS, *BODY_ERRORS, "too_many_post_ids", body=schema.DeleteBody)
async def delete_posts(call: Writer, raw: RawBody) -> SuccessResponse[DeleteResult]:
    """Cancel and hide posts. Posts that are posted, canceled or being sent stay."""
    chosen = schema.read_delete(parse_json_or_empty(raw))
    note_posts(call.request.scope, dict.fromkeys(chosen.post_ids, ()))
    deleted = await call.act(actions.delete, chosen.post_ids)
    return success("Posts deleted", DeleteResult.from_result(deleted))


@routes.add(
    "POST",
    "/validate",
    "What would be refused and warned about; 200 also if the post is invalid.",
    body=PostBody,
)
async def validate_post(call: Publisher, raw: RawBody, _: Charge) -> SuccessResponse[ValidationReport]:
    """Report everything that POST /posts would refuse or warn about, per account. Stores nothing."""
    key = call.request.headers.get("idempotency-key")
    post = read_post(parse_json_or_empty(raw), call.app_state.rules, key)
    validated = await run_validation(call, post)
    return success("Post validated", ValidationReport.from_result(validated, post, call.caller))


async def run_validation(call: Call, post: PostRequest) -> ValidationResult:
    """Apply every rule to the post, on the threads of the key's posts. Raises Unreachable."""
    work = partial(validate, call.app_state.context, call.caller, post)
    return await call.app_state.choose_bulkhead(call.caller).run(work, call.caller.key_id)
