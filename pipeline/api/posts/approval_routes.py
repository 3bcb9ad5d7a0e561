"""GET /posts/{id}/approval, POST /posts/{id}/approve and /send-back, and POST /posts/approval-links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field

from pipeline.actions import approve as actions
from pipeline.api.http.dependencies import Publisher, Reader, Writer
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.validation import Body
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import BODY_ERRORS, Routes
from pipeline.api.posts.field_types import DateTime, EntityId
from pipeline.api.posts.routes import PostId
from pipeline.domain.validation_issue import build_issue
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import Approval

MAX_HOURS = 24 * 30
_HASH = Field(
    pattern="^[0-9a-f]{64}$", description="The post's hash, as GET /posts/{post_id}/approval shows it."
)


class ApproveBody(Body):
    """An approval of a post as it was shown."""

    hash: str = _HASH
    scheduled_at: DateTime | None = Field(
        None, description="Its new time; needed, or now, once its time has passed."
    )
    now: bool | None = Field(None, description="true: it is sent at once.")

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse two times."""
        if self.now and self.scheduled_at is not None:
            yield build_issue(("now",), "now and scheduled_at are two times: send one of them.", "exclusive")


class SendBackBody(Body):
    """A post is sent back to its author as it was shown."""

    hash: str = _HASH
    why: str = Field(min_length=1, max_length=500, description="What has to be changed.")


class ApprovalLinkBody(Body):
    """Posts for a client without a key."""

    post_ids: list[EntityId] = Field(min_length=1, max_length=actions.MOST_POSTS)
    hours: int = Field(72, ge=1, le=MAX_HOURS, description="How long the link works.")


class PostApproval(ResponseModel):
    """Whether a post is approved as it is now. state none: it needs no approval."""

    state: Literal["none", "needed", "approved", "sent_back"]
    hash: str | None = Field(
        description="Stands for all that is sent: captions, options, accounts, times, and the media as they were "
        "checked. A change makes another one, and ends an approval."
    )
    author: str | None = Field(description="Who wrote it.")
    editor: str | None = Field(description="Who changed it last. Neither of both approves it.")
    approver: str | None
    approved_at: Timestamp | None
    sent_back: str | None = Field(description="What has to be changed.")
    checking: bool = Field(
        description="Its media are still being checked: it can be approved when that is done."
    )
    unpinned: list[str] = Field(
        description="URLs of media whose server names no version: another file of the same size would not be noticed."
    )

    @classmethod
    def from_approval(cls, found: Approval | None) -> Self:
        """Return the approval as the API shows it."""
        if found is None:
            empty = dict.fromkeys(("hash", "author", "editor", "approver", "approved_at", "sent_back"))
            return cls(state="none", checking=False, unpinned=[], **empty)
        state = "approved" if found.is_approved else "sent_back" if found.sent_back else "needed"
        ended: Mapping[str, Any] = {} if found.is_approved else {"approver": None, "approved_at": None}
        return cls.from_rows(found, state=state, checking=found.is_checking, **ended)


class ApprovalLinkModel(ResponseModel):
    """A link for a client without a key: each of these posts is approved or sent back by it once."""

    id: UUID
    url: str = Field(description="Shown only now.")
    post_ids: list[UUID]
    expires_at: Timestamp


routes = Routes(tag=POSTS, path="/posts")
_ERRORS = (*BODY_ERRORS, "mandate_exceeded", "approval_changed")
_MEANINGS = {"mandate_exceeded": "the key may not approve, or wrote or changed the post itself"}


@routes.add("GET", "/{post_id:post}/approval", "Where the approval stands.")
async def get_approval(call: Reader, post_id: PostId) -> SuccessResponse[PostApproval]:
    """Return whether the post is approved, and the hash that an approval names."""
    found = await call.read(actions.find_approval, call.caller, post_id)
    return success("Approval retrieved", PostApproval.from_approval(found))


@routes.add(
    "POST",
    "/{post_id:post}/approve",
    "The post is approved.",
    *_ERRORS,
    "media_unreachable",
    "post_in_flight",
    "newer_version",
    meanings={**_MEANINGS, "validation_failed": "it needs no approval, or has no time that is to come"},
)
async def approve_post(call: Publisher, body: ApproveBody, post_id: PostId) -> SuccessResponse[PostApproval]:
    """Approve a post as it was shown; it is sent at its time. A key needs `may_approve`."""
    due_at = await call.read(database_now) if body.now else body.scheduled_at
    found = await call.act(actions.approve, post_id, body.hash, due_at)
    return success("Post approved", PostApproval.from_approval(found))


@routes.add(
    "POST",
    "/{post_id:post}/send-back",
    "The post waits until its author changes it.",
    *_ERRORS,
    "post_in_flight",
    meanings={**_MEANINGS, "validation_failed": "it needs no approval"},
)
async def send_back_post(call: Writer, body: SendBackBody, post_id: PostId) -> SuccessResponse[PostApproval]:
    """Send a post back to its author, as it was shown; an approval that it has ends. A key needs `may_approve`."""
    found = await call.act(actions.send_back, post_id, body.hash, body.why)
    return success("Post sent back", PostApproval.from_approval(found))


@routes.add(
    "POST",
    "/approval-links",
    "The link.",
    "mandate_exceeded",
    "not_found",
    meanings={**_MEANINGS, "validation_failed": "a post needs no approval"},
    status=201,
)
async def create_approval_link(call: Writer, body: ApprovalLinkBody) -> SuccessResponse[ApprovalLinkModel]:
    """Make a link to a page on which a client without a key approves these posts, or sends them back, each once."""
    token, link = await call.act(actions.make_link, body.post_ids, timedelta(hours=body.hours))
    url = call.app_state.context.settings.own_url + actions.LINK_PATH.format(token=token)
    shown = ApprovalLinkModel.from_rows(link, url=url, post_ids=link.posts)
    return success("Approval link created", shown, code=201)
