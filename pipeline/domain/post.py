"""A post's status in the words of the HTTP contract, derived from where its deliveries stand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pipeline.domain.delivery import Reason, State


class PostStatus(StrEnum):
    """What a client reads. ``draft`` is taken as a filter but never produced."""

    DRAFT = "draft"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    POSTED = "posted"
    FAILED = "failed"
    PARTIAL = "partial"
    RETRY = "retry"
    CANCELED = "canceled"


#: Not settled yet, the most urgent first: this is what a post is as long as any of its accounts is one of them.
OPEN = (PostStatus.PENDING, PostStatus.RETRY, PostStatus.SCHEDULED)
EDITABLE = frozenset({PostStatus.DRAFT, PostStatus.FAILED, *OPEN})
"""What may be edited: everything that is not over for good."""

_WORDS = {
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
    """One account's stored word. ``scheduled`` is read as ``pending`` once its time has come (``apply_due_time``)."""
    if state is State.BLOCKED and reason is Reason.IS_IT_LIVE:
        return PostStatus.PENDING
    return _WORDS[state]


def derive_post_status(accounts: Iterable[PostStatus]) -> PostStatus:
    """The post's stored word. ``partial`` is final: while anything is under way the post is not settled."""
    words = set(accounts)
    for word in OPEN:
        if word in words:
            return word
    if words == {PostStatus.POSTED}:
        return PostStatus.POSTED
    if words == {PostStatus.CANCELED}:
        return PostStatus.CANCELED
    return PostStatus.PARTIAL if PostStatus.POSTED in words else PostStatus.FAILED


def apply_due_time(stored: PostStatus, due_at: datetime, now: datetime) -> PostStatus:
    """What a reader sees: a scheduled post whose time has come is pending."""
    return PostStatus.PENDING if stored is PostStatus.SCHEDULED and due_at <= now else stored
