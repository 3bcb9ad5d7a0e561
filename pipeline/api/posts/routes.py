"""POST /posts, GET /posts and GET /posts/{id}. Statements of ``create_post`` follow the contract's order of errors."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Annotated
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request

from pipeline.actions import explain
from pipeline.api.http.auth import list_rights
from pipeline.api.http.dependencies import Call, Reader, parse_json, path_id, read_json_body
from pipeline.api.http.envelope import SuccessResponse, refuse_unknown, success
from pipeline.api.http.middleware import REQUEST_ID, note_posts
from pipeline.api.http.request import get_header
from pipeline.api.http.validation import build_invalid_payload, is_safe_text
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import (
    BODY_ERRORS,
    ETAG_HEADER,
    KEY_ERRORS,
    PLAN_ERRORS,
    Routes,
    header_parameter,
    path_parameter,
)
from pipeline.api.posts.explanation_models import PostExplanation
from pipeline.api.posts.pagination import PostQuery
from pipeline.api.posts.response_models import CreatedPost, Post, PostPage, PostSummary
from pipeline.api.posts.schema import MAX_EXTERNAL_ID, PostBody, read_post
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.explanation_action import Right
from pipeline.domain.post import PostStatus
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.ingest import accept, finish
from pipeline.stages.new_post import PostPlan, Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest
from pipeline.stages.post_state import compute_version
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.queue import Place
from pipeline.store.posts import views
from pipeline.store.posts.idempotency import find_posts_sent_as
from pipeline.store.posts.listing import InvalidPlace, ListedPosts
from pipeline.store.posts.listing import list_posts as list_posts_of
from pipeline.store.posts.pages import count_by_status

routes = Routes(tag=POSTS, path="/posts")
READ_SECONDS = 5
"""The longest that a statement of a filtered list may take."""
_OTHER_LIST = (
    "Not a cursor of this list: send next_cursor of the previous page unchanged, "
    "with the same filters and sort."
)


_ID_OF_NEW_POST = "$response.body#/data/id"
_LINKS = {
    **{
        name: {"operationId": name, "parameters": {"post_id": _ID_OF_NEW_POST}}
        for name in ("getPost", "updatePost")
    },
    **{
        name: {"operationId": name, "requestBody": {"post_ids": [_ID_OF_NEW_POST]}}
        for name in ("retryPosts", "cancelPosts")
    },
    "deletePosts": {"operationId": "deletePosts", "requestBody": {"postIds": [_ID_OF_NEW_POST]}},
}
"""OpenAPI links: what a client can do with a new post."""


@routes.add(
    "POST",
    "",
    "The post is stored.",
    *KEY_ERRORS,
    *BODY_ERRORS,
    *PLAN_ERRORS,
    "mandate_exceeded",
    "unknown_accounts",
    "missing_accounts",
    "validation_failed",
    "invalid_music_url",
    "media_unreachable",
    "create_failed",
    status=201,
    repeated="An equal request was accepted before: its post as it is now, with duplicate: true.",
    is_rate_limited=True,
    links=_LINKS,
    body=PostBody,
    parameters=[
        header_parameter(
            "Idempotency-Key",
            {"type": "string", "minLength": 1, "maxLength": MAX_EXTERNAL_ID},
            "Used as external_id if the body has none.",
        )
    ],
)
async def create_post(request: Request) -> SuccessResponse[CreatedPost]:
    """Create a post. The response is sent after the commit; the same external_id again returns the same post."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request, Right.PUBLISH, is_audited=False)
    request.state.caller = caller
    raw = await read_json_body(request, caller.key_id)
    await app_state.charge_rate_limit(request, caller)
    key = get_header(request, b"idempotency-key")
    request_id = request.scope[REQUEST_ID]
    post = read_post(parse_json(raw), app_state.rules, key, is_safe=is_safe_text(raw), request_id=request_id)
    accepted = await store_post(app_state, caller, post)
    note_posts(request.scope, {accepted.id: accepted.deliveries})
    data = CreatedPost.model_validate(accepted)
    return success(describe_accepted(accepted), data, code=200 if accepted.duplicate else 201)


def describe_accepted(post: AcceptedPost) -> str:
    """Return the message of the answer; for a repeated request it gives the state of the post."""
    if not post.duplicate:
        return "Post scheduled"
    now = "deleted" if post.deleted else _NOW[PostStatus(post.status)]
    return f"An equal request was accepted before; its post is {now}"


_NOW = {status: status.value for status in PostStatus} | {
    PostStatus.PENDING: "being published",
    PostStatus.PARTIAL: "posted at some of its accounts and failed at others",
    PostStatus.RETRY: "being retried, or waits for an operator at an account",
}


async def store_post(app_state: AppState, caller: Caller, post: PostRequest) -> AcceptedPost:
    """Store the post with others of the same time, or alone: bulk work, and a post that waits for its checks."""
    bulkhead = app_state.choose_bulkhead(caller)
    if not caller.bulk:
        bulkhead.acquire(caller.key_id)
        try:
            outcome = await app_state.post_batcher.submit(Submission(caller=caller, request=post))
        finally:
            bulkhead.release(caller.key_id)
        if isinstance(outcome, PostPlan):
            return await bulkhead.run(partial(finish, app_state.context, outcome), caller.key_id)
        if outcome is not None:
            return finish(app_state.context, outcome)
    return await bulkhead.run(partial(accept, app_state.context, caller, post), caller.key_id)


@routes.add(
    "GET",
    "",
    "A page of posts.",
    meanings={"invalid_payload": "a value of the query, or filters that no post can meet together"},
)
async def list_posts(call: Reader, query: PostQuery) -> SuccessResponse[PostPage]:
    """List posts, newest first or in the order of their due times.

    A post is listed if it has an account that meets all of platform, account_id, state, held_for, error_class, due_from
    and due_to. Sent again, it lists the posts as they are then.
    """
    return success("Posts retrieved", await read_posts(call, query))


async def read_posts(call: Call, query: PostQuery) -> PostPage:
    """Return the page of a query. Raises Refusal 422."""
    work = partial(_read_page, call.app_state, call.caller, query)
    return await call.app_state.read_bulkhead.run(work, call.caller.key_id)


PostId = Annotated[UUID, path_id("post_id", "post")]


@routes.add("GET", "/{post_id:post}", "The post.", headers=ETAG_HEADER)
async def get_post(call: Reader, post_id: PostId) -> SuccessResponse[Post]:
    """Return one post."""
    view = await find_post(call, post_id)
    return success("Post retrieved", Post.from_view(view), headers={"ETag": f'"{compute_version(view)}"'})


async def find_post(call: Call, post_id: UUID) -> views.PostView:
    """Return the post as the key sees it. Raises Refusal 404."""
    view = await call.app_state.read_bulkhead.run(partial(_read, call, post_id), call.caller.key_id)
    if view is None:
        raise refuse_unknown("post")
    return view


@routes.add("GET", "/{post_id:post}/explain", "Where the post stands at each account, and why.")
async def explain_post(call: Reader, post_id: PostId) -> SuccessResponse[PostExplanation]:
    """Explain why a post stands where it stands: at each account since when, whose turn it is, and what is next."""
    return success("Post explained", await find_explanation(call, post_id))


async def find_explanation(call: Call, post_id: UUID) -> PostExplanation:
    """Return the explanation of a post for the call's key. Raises Refusal 404."""
    caller = call.caller
    work = partial(
        explain.explain_post, call.app_state.context, caller.workspace_id, post_id, caller.accounts
    )
    found = await call.app_state.read_bulkhead.run(work, caller.key_id)
    if found is None:
        raise refuse_unknown("post")
    return PostExplanation.from_explained(found, list_rights(caller))


def _read_page(app_state: AppState, caller: Caller, query: PostQuery) -> PostPage:
    seal, bound = app_state.cursor_seal, query.describe_list(caller)
    try:
        after = None if query.cursor is None else seal.open(query.cursor, bound)
        with _connect(app_state, query) as c:
            found = _list(c, caller, query, after)
            span = query.chosen.created_from, query.chosen.created_until
            totals = count_by_status(c, caller.workspace_id, *span, caller.accounts)
    except InvalidPlace:
        raise build_invalid_payload(
            [build_issue(("cursor",), _OTHER_LIST, "value_error", query.cursor)]
        ) from None
    return PostPage(
        summary=PostSummary.from_totals(totals),
        posts=[*map(Post.from_view, found.posts)],
        next_cursor=None if found.after is None else seal.seal(found.after, bound),
    )


def _connect(app_state: AppState, query: PostQuery) -> AbstractContextManager[Connection]:
    """Return a connection: with kept plans for the plain lists, for others a transaction of limited time."""
    database = app_state.context.database
    return database.read() if query.is_plain else database.begin_read(READ_SECONDS)


def _list(c: Connection, caller: Caller, query: PostQuery, after: Place | None) -> ListedPosts:
    workspace = caller.workspace_id
    chosen = replace(query.chosen, scope=Scope(workspace=workspace, accounts=caller.accounts))
    if query.external_id is not None:
        sent = find_posts_sent_as(c, query.external_id, [workspace])
        chosen = replace(chosen, posts=tuple(sent))
    return list_posts_of(c, workspace, chosen, query.sort, limit=query.limit, after=after)


def _read(call: Call, post: UUID) -> views.PostView | None:
    with call.app_state.context.database.read() as c:
        return views.read_post(c, call.caller.workspace_id, post, call.caller.accounts)


POST_ID = path_parameter("post_id", {"type": "string", "format": "uuid"})
