"""Posts and accounts in the words of the HTTP contract, with our finer ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.api.http.timestamp import format_timestamp
from pipeline.api.posts.action_serialize import warned
from pipeline.domain.account import WorkspaceKind
from pipeline.domain.delivery import Reason, State
from pipeline.domain.post import OPEN, PostStatus, account_status, as_read, status_of
from pipeline.stages.post_request import Accepted
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.posts.views import DeliveryView, PostView
from pipeline.store.rollups.count import Totals


def accepted(a: Accepted) -> dict[str, Any]:
    """The answer to a new post, or to a repeated one."""
    data: dict[str, Any] = {"id": str(a.id), "status": a.status, "scheduled_at": format_timestamp(a.scheduled_at)}
    data |= warned(a.warnings)
    return {**data, "duplicate": True} if a.duplicate else data


def post(p: PostView) -> dict[str, Any]:
    """One post with where each of its accounts stands.

    Its status is computed as the store computes it, so that a time that has just come shows at once.
    """
    words = [_word(d, p.now) for d in p.deliveries]
    return {
        "id": str(p.id),
        "caption": p.caption,
        "status": status_of(words),
        "source": p.source,
        "scheduled_at": format_timestamp(p.due_at),
        "created_at": format_timestamp(p.created_at),
        "updated_at": format_timestamp(p.updated_at),
        "media": p.media,
        "music_url": p.music_url,
        "tiktok": p.tiktok,
        "pinterest": p.pinterest,
        "external_id": p.external_id,
        "expires_at": format_timestamp(p.expires_at),
        "on_late": p.on_late,
        "accounts": {"total": len(p.deliveries), "states": [*map(_delivery, p.deliveries, words)]},
    }


def summary(totals: Totals) -> dict[str, Any]:
    """Return the totals of a list of posts. Pending: unsettled; published: live on at least one platform."""
    every = {status.value: totals.by_status.get(status, 0) for status in PostStatus}
    return {
        "total": sum(every.values()),
        "total_capped": totals.is_capped,
        "pending": sum(every[status] for status in OPEN),
        "published": every[PostStatus.POSTED] + every[PostStatus.PARTIAL],
        "by_status": every,
    }


def scope(caller: Caller) -> dict[str, Any]:
    """What the key speaks for: a workspace, or one person."""
    personal = caller.kind is WorkspaceKind.PERSONAL
    return {
        "scope": caller.kind,
        "owner_user_id": str(caller.owner_user_id) if personal else None,
        "workspace_id": None if personal else str(caller.workspace_id),
    }


def account(a: AccountRow, caller: Caller) -> dict[str, Any]:
    """One account. ``byo`` is the customer's own; accounts hosted by the operator, the other word, we have none."""
    return {
        "id": str(a.id),
        "platform": a.platform,
        "type": "byo",
        "username": a.username,
        "display_name": a.display_name,
        "status": a.status,
        "workspace_id": scope(caller)["workspace_id"],
    }


def subscription(caller: Caller) -> dict[str, Any]:
    """The plan behind the key."""
    return {**scope(caller), "subscription": {"tier": caller.plan, "status": caller.subscription}}


def _word(d: DeliveryView, now: datetime) -> PostStatus:
    return as_read(account_status(State(d.state), Reason(d.reason) if d.reason else None), d.due_at, now)


def _delivery(d: DeliveryView, word: PostStatus) -> dict[str, Any]:
    error = _error(d)
    return {
        "account_id": str(d.account_id),
        "platform": d.platform,
        "username": d.username,
        "status": word,
        "state": d.state,
        "blocked_reason": d.reason,
        "published_at": format_timestamp(d.published_at),
        "published_url": d.url,
        "delivered_as": d.delivered_as,
        "error_message": error["message"] if error else None,
        "error": error,
        "last_attempted_at": format_timestamp(d.last_attempted_at),
    }


_ERROR_KEYS = ("code", "class", "fault", "retryable", "message", "next_action", "platform_code")


def _error(d: DeliveryView) -> dict[str, Any] | None:
    """The last classified error, unless the delivery came through after all."""
    if d.error is None or d.state in (State.PUBLISHED, State.CANCELLED):
        return None
    return {name: d.error.get(name) for name in _ERROR_KEYS}
