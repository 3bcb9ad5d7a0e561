"""The bodies of actions on posts: PATCH /posts/{id}, and the lists of ids to retry, cancel and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

from adapters.post_options import MAX_URL, at_most
from pipeline.actions.post_changes import Change
from pipeline.api.http.validation import Body, build_invalid_payload, validate_body
from pipeline.api.posts.account_entries import AccountRef, read_entries
from pipeline.api.posts.field_types import (
    Caption,
    EntityId,
    FirstComment,
    Rules,
    TimeOrAuto,
    dump_sent,
    split_time,
)
from pipeline.api.posts.media_types import Media
from pipeline.api.posts.schema import (
    MAX_ACCOUNTS,
    AiGenerated,
    OptionsBody,
    PostBody,
    add_options,
    find_conflicts,
    list_sent_options,
)
from pipeline.domain.validation_issue import build_issue
from pipeline.stages.post_request import Refusal
from pipeline.wiring import list_post_options

MAX_RETRY_POSTS, MAX_ACTION_POSTS = 20, 50
"""Posts per request."""


class _NotNull:
    """Annotation of an optional field that documents no null; ``read_change`` refuses it with a sentence."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        [found] = [branch for branch in handler(schema)["anyOf"] if branch != {"type": "null"}]
        return dict(found)


class _Opening(OptionsBody):
    caption: Annotated[Caption | None, _NotNull()] = None
    media: Annotated[Media | None, _NotNull()] = None
    accounts: Annotated[
        Annotated[list[AccountRef], Field(max_length=MAX_ACCOUNTS), at_most(MAX_ACCOUNTS)] | None,
        _NotNull(),
    ] = Field(
        None,
        description="Replaces the accounts and their own content: accounts left out are cancelled. Sent alone, it "
        "changes only the accounts whose content or time differs.",
    )
    scheduled_at: TimeOrAuto | None = Field(
        None,
        description="With an offset, or auto: each account's next free posting time. null: as soon as possible. "
        "Accounts with a time of their own keep it, but for auto.",
    )
    music_url: str | None = Field(None, max_length=MAX_URL)


class _Closing(OptionsBody):
    ai_generated: AiGenerated = None
    first_comment: FirstComment | None = None
    external_id: SkipJsonSchema[Any] = None
    """Known only to be refused with 409 ``external_id_immutable``."""

    @classmethod
    def describe(cls, issue: dict[str, Any]) -> dict[str, Any]:
        """Return the issue of a key that posts have and edits do not take with the reason instead of a similar name."""
        message = _UNCHANGEABLE.get(issue["path"]) if issue["type"] == "extra_forbidden" else None
        return {**issue, "message": message} if message else issue


class PatchFields(_Closing, _Opening):
    """The fields to change, at least one.

    null clears music_url, first_comment or a platform's options; scheduled_at null: now.
    """


PatchBody = add_options(PatchFields, "PatchBody", list_post_options())
"""The body of PATCH /posts/{id}."""
_UNCHANGEABLE: Mapping[str, str] = {
    **{
        name: "It is set when the post is created and cannot be changed: cancel this post and create another."
        for name in PostBody.model_fields
        if name not in PatchBody.model_fields
    },
    **dict.fromkeys(
        ("id", "status", "source", "created_at", "updated_at"),
        "The server sets it: leave it out of the edit.",
    ),
}
"""Why a key is refused that a post has, but an edit does not."""
_CHANGEABLE = [name for name in PatchBody.model_fields if name != "external_id"]


class ScheduleBody(Body):
    """When a draft goes out."""

    scheduled_at: TimeOrAuto | None = Field(
        None, description="With an offset, or auto: each account's next free posting time. Default: at once."
    )


class RetryBody(Body):
    """Posts that failed at an account, to retry at all of their failed accounts or only at some."""

    post_ids: Annotated[
        list[EntityId], Field(min_length=1, max_length=MAX_RETRY_POSTS), at_most(MAX_RETRY_POSTS)
    ]
    account_ids: (
        Annotated[list[EntityId], Field(min_length=1, max_length=MAX_ACCOUNTS), at_most(MAX_ACCOUNTS)] | None
    ) = None


class CancelBody(Body):
    """Posts to cancel, at all of their accounts or only at some."""

    post_ids: Annotated[list[EntityId], Field(min_length=1, max_length=MAX_ACTION_POSTS)]
    account_ids: (
        Annotated[list[EntityId], Field(min_length=1, max_length=MAX_ACCOUNTS), at_most(MAX_ACCOUNTS)] | None
    ) = None


_DeletedIds = Annotated[list[EntityId], Field(min_length=1, max_length=MAX_ACTION_POSTS)]


class DeleteBody(Body):
    """Posts to delete. post_ids is another name for postIds."""

    postIds: _DeletedIds  # noqa: N815  the contract's spelling


class _AliasedDeleteBody(Body):
    """The same by its other name, so that issues name the key that was sent."""

    post_ids: _DeletedIds


@dataclass(frozen=True, kw_only=True, slots=True)
class PostSelection:
    """Posts, and some of their accounts (None: all)."""

    post_ids: Sequence[UUID]
    account_ids: Sequence[UUID] | None = None


def read_change(body: Any, rules: Rules) -> Change:
    """Parse the body of an edit. Raises Refusal 422 with everything that is wrong with it."""
    found = validate_body(PatchBody, body, rules)
    given = found.model_fields_set
    if not given:
        raise build_invalid_payload(
            [build_issue((), f"Nothing to change: send at least one of {', '.join(_CHANGEABLE)}.", "missing")]
        )
    null = [
        name for name in ("caption", "media", "accounts") if name in given and getattr(found, name) is None
    ]
    if null:
        raise build_invalid_payload(
            [build_issue((name,), "It may be left out, but not be null.", "null", None) for name in null]
        )
    options = list_sent_options(found)
    if issues := list(find_conflicts(found, options, found.media)):
        raise build_invalid_payload(issues)
    return Change(
        given=frozenset(given),
        caption=found.caption or "",
        media=dump_sent(found.media),
        account_ids=list(dict.fromkeys(a.id for a in found.accounts or ())),
        **split_time(found.scheduled_at),
        music_url=found.music_url,
        options=options,
        own=read_entries(found.accounts or ()),
        ai_generated=found.ai_generated or False,
        first_comment=found.first_comment,
    )


def read_schedule(body: Any) -> Change:
    """Parse the body of the scheduling of a draft. Raises Refusal 422."""
    return to_change(validate_body(ScheduleBody, body))


def to_change(body: ScheduleBody) -> Change:
    """Return the change that schedules a draft."""
    return Change(given=frozenset({"scheduled_at"}), schedules=True, **split_time(body.scheduled_at))


def read_retry(body: Any) -> PostSelection:
    """Parse the body of a retry. Raises Refusal."""
    return _parse_selection(RetryBody, body, "post_ids")


def read_cancel(body: Any) -> PostSelection:
    """Parse the body of a cancellation. Raises Refusal."""
    return _parse_selection(CancelBody, body, "post_ids")


def read_delete(body: Any) -> PostSelection:
    """Parse the body of a deletion, by either key. Raises Refusal."""
    names = [n for n in ("postIds", "post_ids") if isinstance(body, dict) and n in body]
    if len(names) > 1:
        message = "postIds and post_ids are two names of one field: send one of them."
        raise build_invalid_payload([build_issue(("post_ids",), message, "exclusive")])
    if names == ["post_ids"]:
        return _parse_selection(_AliasedDeleteBody, body, "post_ids")
    return _parse_selection(DeleteBody, body, "postIds")


def _parse_selection(
    model: type[RetryBody | CancelBody | DeleteBody | _AliasedDeleteBody], body: Any, name: str
) -> PostSelection:
    listed = body.get(name) if isinstance(body, dict) else None
    # a retry of too many is 422, as the contract publishes it
    if model is not RetryBody and isinstance(listed, list) and len(listed) > MAX_ACTION_POSTS:
        message = f"{MAX_ACTION_POSTS} posts at most in one request; there are {len(listed)}."
        raise Refusal(400, "too_many_post_ids", message)
    found = validate_body(model, body)
    accounts = found.account_ids if isinstance(found, RetryBody | CancelBody) else None
    return PostSelection(
        post_ids=list(dict.fromkeys(getattr(found, name))),
        account_ids=None if accounts is None else list(dict.fromkeys(accounts)),
    )
