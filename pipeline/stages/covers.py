"""Covers that a platform takes after publishing: recorded before arming, warned of until they are set."""

from __future__ import annotations

from adapters.contract import Adapter, Draft, Media, SetsCover
from pipeline.runtime.context import Context
from pipeline.stages.post_request import AcceptanceWarning
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.published import record_cover as store_cover


def record_cover(context: Context, claimed: ClaimedDelivery, adapter: Adapter, draft: Draft) -> None:
    """Record the draft's cover for the maintenance job; a delivery that is never published keeps it unused."""
    cover = draft.cover
    if isinstance(adapter, SetsCover) and isinstance(cover, Media) and cover.facts is not None:
        with context.database.once() as c:
            store_cover(c, claimed.id, cover.url, cover.facts)


def warn_of_cover_error(reason: str) -> AcceptanceWarning:
    """Return the warning of a live post whose cover is not set."""
    message = f"The post is live without its cover: {reason}"
    return AcceptanceWarning(field="media.cover", message=message, code="COVER_NOT_SET")
