"""Set covers that a platform takes only once the post is live (YouTube's thumbnail); a failure changes no delivery.

Setting a cover twice sets the same one, so a crash after the call, or two jobs at once, do no harm.
"""

from __future__ import annotations

import logging

from adapters.errors import AdapterError, NeedsPerson, OutcomeUnknown, Permanent, StorageFault
from adapters.post_wide import SetsCover
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.drafts import build_media
from pipeline.store.counters.counters import STORAGE_FAULT, count_alarm
from pipeline.store.deliveries import covers as store

log = logging.getLogger("slipway.upkeep")

BATCH = 10


def set_covers(context: Context) -> int:
    """Return how many covers were set. Does nothing while a restore of the database is not accepted."""
    if not context.send_guard.may_send():
        return 0
    with context.database.begin() as c:
        due = store.claim_covers(c, context.vault, BATCH)
    return sum(_set(context, cover) for cover in due)


def _set(context: Context, cover: store.DueCover) -> bool:
    claimed = cover.claimed
    error: AdapterError | None = None
    try:
        _call(context, cover)
    except AdapterError as caught:
        error = caught
        log.warning("the cover of delivery %s is not set: %s; %s", claimed.id, error, claimed.trail)
    except Exception:  # a cover that fails must not stop the others
        error = OutcomeUnknown("An error of this server stopped it.")
        log.exception(
            "unexpected error while setting the cover of delivery %s; %s", claimed.id, claimed.trail
        )
    failpoint("covers.sent", claimed.id)
    is_fault = isinstance(error, StorageFault)
    is_final = (cover.is_last and not is_fault) or isinstance(error, Permanent | NeedsPerson)
    with context.database.begin() as c:
        if is_fault:
            count_alarm(c, STORAGE_FAULT)
        store.settle_cover(c, claimed.id, None if error is None else str(error)[:500], is_final=is_final)
    return error is None


def _call(context: Context, cover: store.DueCover) -> None:
    claimed = cover.claimed
    adapter = context.adapter(claimed.account.platform, context.client())
    if isinstance(adapter, SetsCover):
        media = build_media(context, claimed.workspace_id, cover.url, "image", cover.facts)
        adapter.set_cover(claimed.account, claimed.remote_id or "", media)
