"""The body of POST /posts/batch, and the answers: one for each post, as POST /posts would give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError, create_model
from typing_extensions import TypeAliasType

from adapters.post_options import at_most
from pipeline.api.http.response_models import DocumentedAs, Failure, Issue, ResponseModel, Success, is_empty
from pipeline.api.posts.field_types import Rules, find_unsafe_text
from pipeline.api.posts.response_models import CreatedPost
from pipeline.api.posts.schema import Body, PostBody, build_invalid_payload, read_post
from pipeline.domain.validation_issue import build_issue, issues_from_pydantic
from pipeline.stages.post_request import PostRequest, Refusal
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
    """Of the request, which every post of it keeps."""
    key: IdempotencyKey | None = None


def read_batch(body: Any) -> Batch:
    """Parse the body around the posts. Raises Refusal 422."""
    if not isinstance(body, dict):
        raise build_invalid_payload([build_issue((), "The body must be a JSON object.", "model_type")])
    if found := find_unsafe_text({name: value for name, value in body.items() if name != "posts"}):
        raise build_invalid_payload(found)
    try:
        batch = BatchFields.model_validate(body)
    except ValidationError as error:
        keys = tuple(BatchFields.model_fields)
        raise build_invalid_payload(
            issues_from_pydantic(error.errors(include_url=False), {}, lambda _: keys)
        ) from None
    return Batch(posts=batch.posts, atomic=bool(batch.atomic))


def read_each(
    bodies: Sequence[Any], rules: Rules, request_id: str | None = None
) -> list[PostRequest | Refusal]:
    """Parse each post; the result of one that is no post is its refusal."""
    return [_read(body, rules, request_id) for body in bodies]


def _read(body: Any, rules: Rules, request_id: str | None) -> PostRequest | Refusal:
    try:
        return read_post(body, rules, request_id=request_id)
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
