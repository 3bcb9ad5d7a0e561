"""Finish published posts: fill in URLs that the platform did not return at first; set covers, fill playlists, comment.

No post is unpublished for any of it.
"""

from __future__ import annotations

import logging

from adapters.contract import AddsToPlaylist, Published, SetsCover
from adapters.errors import AdapterError, NeedsPerson, OutcomeUnknown, Permanent, Rejected, StorageFault
from pipeline.domain.delivery_error import COMMENT_IN_DOUBT, SENT_BEFORE_RESTORE
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.drafts import build_draft, build_media
from pipeline.store.counters.counters import STORAGE_FAULT, count_alarm
from pipeline.store.deliveries import published as store
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.ownership import RemoteIdsOfOthers

log = logging.getLogger("slipway.upkeep")

URLS, FOLLOW_UPS = 50, 10
"""Looked up and done in one run."""


def fill_urls(context: Context) -> int:
    """Return how many URLs were found."""
    with context.database.begin() as c:
        without_url = store.list_without_url(c, context.vault, URLS)
    return sum(_fill(context, claimed) for claimed in without_url)


def _fill(context: Context, claimed: ClaimedDelivery) -> bool:
    adapter = context.adapter(claimed.account.platform, context.client())
    taken = RemoteIdsOfOthers(context.database, account=claimed.account_id, delivery=claimed.id)
    try:
        draft = build_draft(context, claimed)
        seen = (
            None
            if claimed.unopened
            else adapter.look(draft, claimed.account, claimed.checkpoint, claimed.armed_at, taken)
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


def follow_up(context: Context) -> int:
    """Return how many follow-ups were done. Does nothing while a restore of the database is not accepted.

    Doing one twice changes nothing more, so a crash after the call, or two jobs at once, do no harm.
    """
    if not context.send_guard.may_send():
        return 0
    with context.database.begin() as c:
        due = store.claim_follow_ups(c, context.vault, FOLLOW_UPS)
    return sum(_try(context, one) for one in due)


def _try(context: Context, due: store.DueFollowUp) -> bool:
    claimed, kind = due.claimed, due.kind
    error: AdapterError | None = None
    try:
        _call(context, due)
    except AdapterError as caught:
        error = caught
        log.warning("the %s of delivery %s is not set: %s; %s", kind, claimed.id, error, claimed.trail)
    except Exception:  # one that fails must not stop the others
        error = OutcomeUnknown("An error of this server stopped it.")
        log.exception(
            "unexpected error while setting the %s of delivery %s; %s", kind, claimed.id, claimed.trail
        )
    failpoint("follow-up.sent", claimed.id)
    is_fault = isinstance(error, StorageFault)
    is_final = (due.is_last and not is_fault) or isinstance(error, Permanent | NeedsPerson)
    with context.database.begin() as c:
        if is_fault:
            count_alarm(c, STORAGE_FAULT)
        store.settle_follow_up(
            c, claimed.id, kind, None if error is None else str(error)[:500], is_final=is_final
        )
    return error is None


def _call(context: Context, due: store.DueFollowUp) -> None:
    claimed, what = due.claimed, due.what
    adapter = context.adapter(claimed.account.platform, context.client())
    if due.kind == "cover" and isinstance(adapter, SetsCover):
        media = build_media(context, claimed.workspace_id, what["url"], "image", what["facts"])
        adapter.set_cover(claimed.account, claimed.remote_id or "", media)
    if due.kind == "playlist" and isinstance(adapter, AddsToPlaylist):
        adapter.add_to_playlist(claimed.account, claimed.remote_id or "", what["id"])
    if due.kind == "comment":
        with context.database.begin() as c:
            if not store.add_comment(c, claimed):
                raise Rejected(SENT_BEFORE_RESTORE, code=COMMENT_IN_DOUBT)
