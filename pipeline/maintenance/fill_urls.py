"""Finds the address of posts that went live before the platform told it. A missing URL never unpublishes anything."""

from __future__ import annotations

import logging

from adapters.contract import Published
from adapters.errors import AdapterError
from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.stages.drafts import draft_of
from pipeline.store.deliveries import missing_urls as store
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.ownership import Taken

log = logging.getLogger("slipway.upkeep")

BATCH = 50


def fill_urls(context: Context) -> int:
    """How many addresses were found."""
    with context.database.begin() as c:
        wanting = store.without_url(c, context.vault, BATCH)
    return sum(_fill(context, held) for held in wanting)


def _fill(context: Context, held: ClaimedDelivery) -> bool:
    adapter = context.adapter(held.account.platform, context.client())
    taken = Taken(context.database, account=held.account_id, delivery=held.id)
    try:
        seen = adapter.look(draft_of(context, held), held.account, held.checkpoint, held.armed_at, taken)
    except Exception as error:  # one that cannot be looked at must not stand in front of all others
        if not isinstance(error, AdapterError):
            log.exception("unforeseen while looking for the address of %s", held.id)
        log.info("no address for %s yet: %s", held.id, error)
        seen = None
    failpoint("urls.looked", held.id)
    found = False
    with context.database.begin() as c:
        if isinstance(seen, Published) and seen.url:
            found = store.fill(c, held, seen.remote_id, seen.url)
        else:
            store.ask_again(c, held)
    failpoint("urls.stored", held.id)
    return found
