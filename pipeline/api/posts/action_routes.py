"""PATCH /posts/{id}, POST /posts/retry, /cancel, /delete and /validate.

Cancel and delete need a key but no active plan: a customer whose subscription lapsed can still stop what is scheduled.
Edit, retry and validate need a plan that publishes, as a new post does, and count against the key's rate.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request

from pipeline.actions import cancel_delete_retry as actions
from pipeline.actions import edit
from pipeline.actions.validate import validate
from pipeline.api.http.dependencies import parse_id, parse_json_or_empty, read_json_body
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.http.middleware import note_posts
from pipeline.api.http.representation import strip_encodings
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import (
    BODY_ERRORS,
    ETAG_HEADER,
    KEY_ERRORS,
    PARTNER_API,
    PLAN_ERRORS,
    Operation,
    error_responses,
    header_parameter,
)
from pipeline.api.posts import action_schema as schema
from pipeline.api.posts.action_response_models import (
    CancelResult,
    DeleteResult,
    RetryResult,
    UpdatedPost,
    ValidationReport,
)
from pipeline.api.posts.routes import POST_ID, POST_PATH
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.api.state import get_app_state


async def update_post(request: Request) -> SuccessResponse[UpdatedPost]:
    """Change a post. Nothing of the old version is published after this response; 409 if that cannot be ensured."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_publisher(request)
    raw = await read_json_body(request, caller.key_id)
    await app_state.charge_rate_limit(request, caller)
    change = schema.read_change(parse_json_or_empty(raw), app_state.rules)
    post_id = parse_id(request.path_params["post_id"])
    if post_id is None:
        raise HttpRefusal(404, "not_found", "There is no such post.")
    if_match = strip_encodings(request.headers.get("if-match"))
    work = partial(edit.edit, app_state.context, caller, post_id, change, if_match)
    edited = await app_state.choose_bulkhead(caller).run(work, caller.key_id)
    headers = {"ETag": f'"{edited.version}"'}
    return success("Post updated", UpdatedPost.model_validate(edited), headers=headers)


async def retry_posts(request: Request) -> SuccessResponse[RetryResult]:
    """Retry failed posts, only at accounts where they failed: never where the post is posted or may be live."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_publisher(request)
    chosen = schema.read_retry(parse_json_or_empty(await read_json_body(request, caller.key_id)))
    await app_state.charge_rate_limit(request, caller, len(chosen.post_ids))
    note_posts(request.scope, dict.fromkeys(chosen.post_ids, ()))
    work = partial(actions.retry, app_state.context, caller, chosen.post_ids, chosen.account_ids)
    bulkhead = app_state.bulk_bulkhead if caller.bulk else app_state.action_bulkhead
    done = await bulkhead.run(work, caller.key_id)
    result = RetryResult.from_result(done)
    return success(result.describe(), result)


async def cancel_posts(request: Request) -> SuccessResponse[CancelResult]:
    """Cancel posts. Those being sent stay unchanged and are named in errors."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_writer(request)
    chosen = schema.read_cancel(parse_json_or_empty(await read_json_body(request, caller.key_id)))
    note_posts(request.scope, dict.fromkeys(chosen.post_ids, ()))
    work = partial(actions.cancel, app_state.context, caller, chosen.post_ids, chosen.account_ids)
    done = await app_state.action_bulkhead.run(work, caller.key_id)
    return success("Posts canceled", CancelResult.from_result(done))


async def delete_posts(request: Request) -> SuccessResponse[DeleteResult]:
    """Cancel and hide posts. Posts that are posted, canceled or being sent stay."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_writer(request)
    chosen = schema.read_delete(parse_json_or_empty(await read_json_body(request, caller.key_id)))
    note_posts(request.scope, dict.fromkeys(chosen.post_ids, ()))
    work = partial(actions.delete, app_state.context, caller, chosen.post_ids)
    deleted = await app_state.action_bulkhead.run(work, caller.key_id)
    return success("Posts deleted", DeleteResult.from_result(deleted))


async def validate_post(request: Request) -> SuccessResponse[ValidationReport]:
    """Report everything that POST /posts would refuse or warn about, per account. Stores nothing."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.require_publisher(request)
    raw = await read_json_body(request, caller.key_id)
    await app_state.charge_rate_limit(request, caller)
    post = read_post(parse_json_or_empty(raw), app_state.rules, request.headers.get("idempotency-key"))
    work = partial(validate, app_state.context, caller, post)
    validated = await app_state.choose_bulkhead(caller).run(work, caller.key_id)
    report = ValidationReport.from_result(validated, post, caller)
    return success("Post validated", report)


_COMMON = (*KEY_ERRORS, *BODY_ERRORS, "insufficient_scope", "rate_limited", "internal_error")

OPERATIONS = (
    Operation(
        id="updatePost",
        method="PATCH",
        path=POST_PATH,
        handler=update_post,
        tag=POSTS,
        returns="The post is changed, in all its fields at once.",
        headers=ETAG_HEADER,
        is_rate_limited=True,
        body=schema.PatchBody,
        parameters=[
            POST_ID,
            header_parameter("If-Match", {"type": "string"}, "ETag of the version to change, or *."),
        ],
        errors=error_responses(
            *_COMMON,
            *PLAN_ERRORS,
            "unknown_accounts",
            "missing_accounts",
            "invalid_music_url",
            "media_unreachable",
            "not_found",
            "post_in_flight",
            "newer_version",
            "external_id_immutable",
            "precondition_failed",
            validation_failed="a rule is broken, or the post is settled",
        ),
    ),
    Operation(
        id="retryPosts",
        method="POST",
        path=f"{PARTNER_API}/posts/retry",
        handler=retry_posts,
        tag=POSTS,
        returns="The result for each post.",
        is_rate_limited=True,
        body=schema.RetryBody,
        errors=error_responses(*_COMMON, *PLAN_ERRORS),
    ),
    Operation(
        id="cancelPosts",
        method="POST",
        path=f"{PARTNER_API}/posts/cancel",
        handler=cancel_posts,
        tag=POSTS,
        returns="The result for each post.",
        body=schema.CancelBody,
        errors=error_responses(*_COMMON, "too_many_post_ids"),
    ),
    Operation(
        id="deletePosts",
        method="POST",
        path=f"{PARTNER_API}/posts/delete",
        handler=delete_posts,
        tag=POSTS,
        returns="The result for each post.",
        body=schema.DeleteBody,
        errors=error_responses(*_COMMON, "too_many_post_ids"),
    ),
    Operation(
        id="validatePost",
        method="POST",
        path=f"{PARTNER_API}/posts/validate",
        handler=validate_post,
        tag=POSTS,
        returns="What would be refused and warned about; 200 also if the post is invalid.",
        is_rate_limited=True,
        body=PostBody,
        errors=error_responses(*_COMMON, *PLAN_ERRORS),
    ),
)
