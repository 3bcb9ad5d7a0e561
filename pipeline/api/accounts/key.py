"""GET /me: what the key of a request may do, and what is left of its limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Self
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection

from pipeline.api.accounts.routes import KeyScope, describe_scope
from pipeline.api.http.auth import list_rights
from pipeline.api.http.dependencies import Call, Reader
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.rate_limit import Window
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.openapi.introduction import SCOPE
from pipeline.api.openapi.operation import Routes
from pipeline.domain.explanation_action import Right
from pipeline.store.auth.keys import Caller, Key, list_keys


class KeyMandate(ResponseModel):
    """What the key may write. A post outside it is refused with 403 `mandate_exceeded`. null: no limit."""

    lead_minutes: int | None = Field(
        description="A post that is written is due in so many minutes at the earliest."
    )
    ahead_days: int | None = Field(description="A post that is written is due within so many days.")
    kinds: list[str] | None = Field(description="Kinds of posts: video, image, images, text, document.")
    options: list[str] | None = Field(
        description="Options that a post may set, such as tiktok.title or first_comment."
    )
    needs_approval: bool = Field(
        description="What it writes is sent once another person or key has approved it."
    )
    may_approve: bool = Field(description="It may approve posts that it did not write.")


class PostAllowance(ResponseModel):
    """A limit of posts, and what is left of it."""

    seconds: int = Field(description="Its length: 60, or 86400 for a day in UTC.")
    limit: int
    left: int
    reset: int = Field(description="Seconds until the full limit is available.")


class KeyFacts(KeyScope):
    """The key of the request."""

    public_id: str = Field(description="The half of the key before the dot.")
    name: str
    time_zone: str = Field(description="Of the workspace: for local times.")
    rights: list[Right] = Field(
        description="read; write: it may also change posts; publish: and send new ones."
    )
    accounts: list[UUID] | None = Field(
        description="The only accounts that it sees. null: all of the workspace."
    )
    bulk: bool
    expires_at: Timestamp | None
    posts: list[PostAllowance] = Field(description="The limits of posts that it has.")
    mandate: KeyMandate

    @classmethod
    def from_key(cls, caller: Caller, key: Key, posts: Sequence[Window]) -> Self:
        """Return the key as the API shows it to its holder."""
        return cls.from_rows(
            describe_scope(caller),
            caller,
            key,
            rights=list_rights(caller),
            posts=posts,
            mandate=_describe_mandate(caller),
        )


def _describe_mandate(caller: Caller) -> KeyMandate:
    limits = caller.limits
    may_approve = bool(limits.may_approve) and not limits.needs_approval
    return KeyMandate.from_rows(caller, limits, may_approve=may_approve)


routes = Routes(tag=SCOPE, path="")


@routes.add("GET", "/me", "The key.")
async def get_key(call: Reader) -> SuccessResponse[KeyFacts]:
    """Return what the key may do, and what is left of its limits. Reading it counts against none."""
    return success("Key retrieved", await read_key(call))


async def read_key(call: Call) -> KeyFacts:
    """Return the facts of the call's key. Raises Unreachable."""
    limits = call.caller.limits.over(call.app_state.default_limits)
    read = partial(call.app_state.rate_limit.read, call.caller.key_id, limits)
    posts = await call.app_state.lookup_bulkhead.run(read)
    return await call.read(_read_key, call.caller, posts)


def _read_key(c: Connection, caller: Caller, posts: Sequence[Window]) -> KeyFacts:
    [key] = [one for one in list_keys(c, caller.workspace_id) if one.id == caller.key_id]
    return KeyFacts.from_key(caller, key, posts)
