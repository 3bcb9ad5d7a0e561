"""Delete events of webhooks that are older than the setting says, and what is left of deleted webhooks."""

from __future__ import annotations

import logging
from datetime import timedelta

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.webhooks import events

log = logging.getLogger("slipway.upkeep")

BATCH = 1_000
"""Events deleted in one transaction, which holds the lock of their webhook."""


def expire_webhook_events(context: Context) -> int:
    """Return how many events were deleted. One that was never delivered is reported in the log."""
    keep, deleted = timedelta(days=context.settings.webhooks.keep_days), 0
    with context.database.begin() as c:
        webhooks = events.list_kept(c)
    for webhook, is_deleted in webhooks:
        gone, lost = BATCH, 0
        while gone == BATCH:
            with context.database.begin() as c:
                gone, undelivered = events.delete_oldest(
                    c, webhook, timedelta(0) if is_deleted else keep, BATCH
                )
                events.delete_row(c, webhook)
            failpoint("webhooks.expired", webhook)
            deleted, lost = deleted + gone, lost + undelivered
        if lost and not is_deleted:
            log.warning("webhook=%s: %s events expired that were never delivered", webhook, lost)
    return deleted
