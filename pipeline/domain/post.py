"""The status of a post as the HTTP contract names it, derived from the states of its deliveries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pipeline.domain.delivery import Reason, State


class PostStatus(StrEnum):
    """The public statuses. ``draft`` is accepted as a filter but never produced."""

    DRAFT = "draft"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    POSTED = "posted"
    FAILED = "failed"
    PARTIAL = "partial"
    RETRY = "retry"
    CANCELED = "canceled"


OPEN = (PostStatus.PENDING, PostStatus.RETRY, PostStatus.SCHEDULED)
"""The unsettled statuses, most urgent first: a post has the first of them that one of its accounts has."""
EDITABLE = frozenset({PostStatus.DRAFT, PostStatus.FAILED, *OPEN})
"""The statuses in which a post may be edited."""

_STATUSES = {
    State.ACCEPTED: PostStatus.SCHEDULED,
    State.SCHEDULED: PostStatus.SCHEDULED,
    State.PREPARING: PostStatus.SCHEDULED,
    State.QUEUED: PostStatus.SCHEDULED,
    State.PUBLISHING: PostStatus.PENDING,
    State.PROCESSING: PostStatus.PENDING,
    State.UNKNOWN: PostStatus.PENDING,
    State.RETRYING: PostStatus.RETRY,
    State.BLOCKED: PostStatus.RETRY,
    State.PUBLISHED: PostStatus.POSTED,
    State.FAILED: PostStatus.FAILED,
    State.CANCELLED: PostStatus.CANCELED,
}


def derive_account_status(state: State, reason: Reason | None) -> PostStatus:
    """Return the stored status of one account; ``apply_due_time`` turns it into the one that is read."""
    if state is State.BLOCKED and reason is Reason.IS_IT_LIVE:
        return PostStatus.PENDING
    return _STATUSES[state]


def derive_post_status(accounts: Iterable[PostStatus]) -> PostStatus:
    """Return the status of a post by those of the accounts it targets; accounts that an edit removed do not count.

    ``partial`` is final: no account of the post is unsettled then.
    """
    statuses = set(accounts)
    for status in OPEN:
        if status in statuses:
            return status
    if statuses == {PostStatus.POSTED}:
        return PostStatus.POSTED
    if statuses == {PostStatus.CANCELED}:
        return PostStatus.CANCELED
    return PostStatus.PARTIAL if PostStatus.POSTED in statuses else PostStatus.FAILED


def apply_due_time(stored: PostStatus, due_at: datetime, now: datetime) -> PostStatus:
    """Return the status that a reader sees: a scheduled post whose time has come is pending."""
    return PostStatus.PENDING if stored is PostStatus.SCHEDULED and due_at <= now else stored
