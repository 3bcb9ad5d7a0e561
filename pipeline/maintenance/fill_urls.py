"""Fill in the URLs of published posts for which the platform gave none at first. No post is unpublished for that."""

from __future__ import annotations

import logging

from adapters.contract import Published
from adapters.errors import AdapterError
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.drafts import build_draft
from pipeline.store.deliveries import missing_urls as store
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.ownership import RemoteIdsOfOthers

log = logging.getLogger("slipway.upkeep")

BATCH = 50


def fill_urls(context: Context) -> int:
    """Return how many URLs were found."""
    with context.database.begin() as c:
        without_url = store.list_without_url(c, context.vault, BATCH)
    return sum(_fill(context, claimed) for claimed in without_url)


def _fill(context: Context, claimed: ClaimedDelivery) -> bool:
    adapter = context.adapter(claimed.account.platform, context.client())
    taken = RemoteIdsOfOthers(context.database, account=claimed.account_id, delivery=claimed.id)
    try:
        seen = adapter.look(
            build_draft(context, claimed), claimed.account, claimed.checkpoint, claimed.armed_at, taken
        )
    except Exception as error:  # a delivery whose look fails must not stop the others
        if not isinstance(error, AdapterError):
            log.exception(
                "unexpected error while looking for the URL of delivery %s; %s", claimed.id, claimed.trail
            )
        log.info("no URL for delivery %s yet: %s; %s", claimed.id, error, claimed.trail)
        seen = None
    failpoint("urls.looked", claimed.id)
    found = False
    with context.database.begin() as c:
        if isinstance(seen, Published) and seen.url:
            found = store.save_url(c, claimed, seen.remote_id, seen.url)
        else:
            store.postpone_url_lookup(c, claimed)
    failpoint("urls.stored", claimed.id)
    return found
