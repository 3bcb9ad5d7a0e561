"""What the OpenAPI page says about the routes that steer posts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pipeline.api.openapi.document import (
    BUSY,
    CREATE,
    LIMIT_HEADERS,
    READ,
    READ_ONLY,
    SECURED,
    SHOW,
    SHOW_EXTRA,
    Responses,
    says,
)
from pipeline.api.posts import action_response_models as told
from pipeline.api.posts import response_models as answers
from pipeline.api.posts.action_schema import CancelBody, DeleteBody, PatchBody, RetryBody

BODIES: tuple[type[BaseModel], ...] = (PatchBody, RetryBody, CancelBody, DeleteBody)
ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The version of the post, for If-Match."}}

_BODY: Responses = {
    400: says(answers.Failure, "invalid_json, or too_many_post_ids."),
    **{status: CREATE[status] for status in (408, 413, 415, 422)},
    **BUSY,
    **READ,
    **READ_ONLY,
}
_PLAN: Responses = {status: CREATE[status] for status in (402, 403, 429)}

UPDATE: Responses = {
    200: says(told.EditedAnswer, "The post was changed, all of it.", {**ETAG, **LIMIT_HEADERS}),
    **_BODY,
    **_PLAN,
    400: says(
        answers.Failure,
        "invalid_json, unknown_accounts, missing_accounts, validation_failed (a rule, or the post is over), "
        "invalid_music_url or media_unreachable.",
    ),
    404: SHOW[404],
    409: says(
        answers.Failure, "post_in_flight: it is being sent, nothing was changed; or external_id_immutable."
    ),
    412: says(answers.Failure, "precondition_failed: it is no longer the version of If-Match."),
}
RETRY: Responses = {
    200: says(told.RetriedAnswer, "What became of each post.", LIMIT_HEADERS),
    **_BODY,
    **_PLAN,
}
CANCEL: Responses = {200: says(told.CanceledAnswer, "What became of each post."), **_BODY}
DELETE: Responses = {200: says(told.DeletedAnswer, "What became of each post."), **_BODY}
VALIDATE: Responses = {
    200: says(told.ValidatedAnswer, "What would become of the post, good or bad.", LIMIT_HEADERS),
    **_BODY,
    **_PLAN,
    400: says(answers.Failure, "invalid_json."),
}


def _takes(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {**SECURED, "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


UPDATE_EXTRA = {
    **_takes("PatchBody"),
    "parameters": [
        *SHOW_EXTRA["parameters"],
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The ETag of the version that is to be changed, or *.",
        },
    ],
}
RETRY_EXTRA, CANCEL_EXTRA, DELETE_EXTRA = _takes("RetryBody"), _takes("CancelBody"), _takes("DeleteBody")
VALIDATE_EXTRA = _takes("PostBody")
