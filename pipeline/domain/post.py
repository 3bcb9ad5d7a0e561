"""The public status of a post, the kind a platform calls it, and the times at which its deliveries are touched."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.domain.delivery import Reason, State

if TYPE_CHECKING:
    from adapters.contract import Capabilities, PostForm

IMMEDIATE = timedelta(seconds=30)
"""A due time within this of now, before or after, counts as "now" (HTTP contract)."""


NO_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""The due time of a draft as it is stored: no release, of whatever version, reaches it."""


def hide_no_time(due_at: datetime | None) -> datetime | None:
    """Return a due time as readers see it: a draft has none."""
    return None if due_at is None or due_at >= NO_TIME else due_at


def slot_end(at: datetime, width: timedelta) -> datetime:
    """Return the end of the slot of time that holds *at*; one message is sent then for all that is due in the slot."""
    seconds = width.total_seconds()
    return datetime.fromtimestamp(math.ceil(at.timestamp() / seconds) * seconds, UTC)


def next_at(due_at: datetime, lead: timedelta) -> datetime:
    """Return when work on a delivery may start: its due time, less the platform's lead for preparation."""
    return due_at - lead


def backoff(spent: int, *, base: timedelta, cap: timedelta, chance: float) -> timedelta:
    """Return a pause with full jitter: a random part (*chance*, 0 to 1) of an exponential, capped one, at least 1 s.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    ceiling = min(cap, base * int(2 ** min(spent, 20)))
    return max(timedelta(seconds=1), ceiling * chance)


def outage_pause(age: timedelta, *, base: timedelta, cap: timedelta, chance: float) -> timedelta:
    """Return a pause with full jitter in an outage that is *age* old, at least 1 s.

    Its ceiling grows with the age, so it is exponential without a count of tries.
    """
    return max(timedelta(seconds=1), min(cap, base + max(age, timedelta(0))) * chance)


def look_pause(looks: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return the pause before the next look at an unfinished publish; it doubles from *first* to *longest*."""
    return min(longest, first * int(2 ** min(looks, 20)))


def is_immediate(asked: datetime | None, now: datetime) -> bool:
    """Return True if a requested time means "now". Ingest refuses times that are too far in the past."""
    return asked is None or abs(asked - now) <= IMMEDIATE


INBOX_DRAFT = "inbox_draft"
"""The kind of a post that is left for the account's owner to publish."""


def find_kind(
    capabilities: Capabilities, form: PostForm, *, is_inbox_draft: bool, asked: str | None = None
) -> str | None:
    """Return the platform's kind of post, or None where it has none of this form; *asked*: the options' own kind."""
    return INBOX_DRAFT if is_inbox_draft else asked or capabilities.post_kinds.get(form)


def find_form(media_type: str, count: int) -> PostForm:
    """Return the form of a request's media; of a slideshow, whether it is one image or several."""
    from adapters.contract import PostForm  # noqa: PLC0415 - --help reads the statuses below, without pydantic

    if media_type != "slideshow":
        return PostForm(media_type)
    return PostForm.IMAGE if count == 1 else PostForm.IMAGES


class PostStatus(StrEnum):
    """The public statuses."""

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

    ``partial`` is final: no account of the post is unsettled then. A draft is one until all of its accounts failed.
    """
    statuses = set(accounts)
    for status in OPEN:
        if status in statuses:
            return status
    if PostStatus.DRAFT in statuses:
        return PostStatus.DRAFT
    if statuses == {PostStatus.POSTED}:
        return PostStatus.POSTED
    if statuses == {PostStatus.CANCELED}:
        return PostStatus.CANCELED
    return PostStatus.PARTIAL if PostStatus.POSTED in statuses else PostStatus.FAILED


def apply_due_time(stored: PostStatus, due_at: datetime, now: datetime) -> PostStatus:
    """Return the status that a reader sees: a scheduled post whose time has come is pending, one without is a draft."""
    if due_at >= NO_TIME and stored is PostStatus.SCHEDULED:
        return PostStatus.DRAFT
    return PostStatus.PENDING if stored is PostStatus.SCHEDULED and due_at <= now else stored
