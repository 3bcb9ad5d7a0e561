"""Finish published posts: fill in URLs that the platform did not return at first, and set covers of live posts.

No post is unpublished for either.
"""

from __future__ import annotations

import logging

from adapters.contract import Published, SetsCover
from adapters.errors import AdapterError, NeedsPerson, OutcomeUnknown, Permanent, StorageFault
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.drafts import build_draft, build_media
from pipeline.store.counters.counters import STORAGE_FAULT, count_alarm
from pipeline.store.deliveries import published as store
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.ownership import RemoteIdsOfOthers

log = logging.getLogger("slipway.upkeep")

URLS, COVERS = 50, 10
"""Looked up and set in one run."""


def fill_urls(context: Context) -> int:
    """Return how many URLs were found."""
    with context.database.begin() as c:
        without_url = store.list_without_url(c, context.vault, URLS)
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


def set_covers(context: Context) -> int:
    """Return how many covers were set. Does nothing while a restore of the database is not accepted.

    Setting a cover twice sets the same one, so a crash after the call, or two jobs at once, do no harm.
    """
    if not context.send_guard.may_send():
        return 0
    with context.database.begin() as c:
        due = store.claim_covers(c, context.vault, COVERS)
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
