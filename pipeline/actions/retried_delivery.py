"""The part that a retry and a replay share: both check the media again, then accept a failed delivery.

Deliveries of the same post that wait are not touched: they keep the checks they had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, State
from pipeline.domain.delivery_error import MEDIA_FAULTS
from pipeline.domain.post import next_at
from pipeline.runtime.context import Context
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.store.checks.checks import Check
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.pins import pin_checks_for_retry

LIVE = "The platform shows the failed post live: look at the account. It is not sent again."


def open_checks(
    context: Context, c: Connection, post: LockedPost, failed: Iterable[LockedDelivery], *, bulk: bool = False
) -> Mapping[int, Check]:
    """Open fresh checks; a delivery that failed because of its media makes their old checks stale. Raises Refusal."""
    rules.refuse_newer(context, post.level)
    requested = media_checks.list_links(post.media, rules.parse_music_link(context, post.music_url))
    codes = {(part.error or {}).get("code") for part in failed}
    stale = {url for n, _, url in requested if n != media_checks.MUSIC} if codes & MEDIA_FAULTS else set()
    return media_checks.open_checks(context, c, post.workspace_id, requested, stale, bulk=bulk)


def pin_checks(c: Connection, post: LockedPost, checks: Mapping[int, Check]) -> None:
    """Pin the checks for the deliveries to retry, before they are accepted."""
    pins = media_checks.map_check_ids(checks)
    if pins != media_checks.map_check_ids(post.checks):
        pin_checks_for_retry(c, post.id, pins)


def accept(
    context: Context,
    c: Connection,
    post: LockedPost,
    part: LockedDelivery,
    *,
    why: str,
    not_before: datetime | None = None,
) -> None:
    """Move a delivery to accepted. A checkpoint that was proven absent is kept: finalize has to reuse its handle."""
    expired = (part.error or {}).get("code") == "expired"
    soonest = next_at(post.due_at, context.adapters[part.platform].capabilities.prepare_lead)
    store.move_locked(
        c,
        context.vault,
        part,
        State.ACCEPTED,
        Mover.RETRY,
        due_at=post.due_at,
        next_at=max(soonest, not_before or soonest),
        why=why,
        keep=part.resumes,
        error=part.error if expired else None,
    )
