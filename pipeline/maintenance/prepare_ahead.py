"""Check what posts will need before they are due: fresh tokens, and media that are unchanged since their check."""

from __future__ import annotations

import logging
import time
from uuid import UUID

from adapters.errors import StorageFault
from pipeline.accounts.refresh import refresh
from pipeline.media.probe.probe import probe
from pipeline.media.url_policy import FetchFailed
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.accounts.grants import list_due_refreshes
from pipeline.store.accounts.oauth_sessions import expire_sessions
from pipeline.store.checks.claim import MediaToRecheck, claim_rechecks, record_warning

log = logging.getLogger("slipway.upkeep")

TOKENS, MEDIA = 50, 20
MOST_SECONDS = 40.0
"""How long one run begins new batches: less than the minute until the next run."""


def refresh_credentials(context: Context) -> int:
    """Return how many accounts were refreshed. Each is refreshed once a run, even if it stays due.

    Tokens of sign-ins that were not confirmed in time are deleted.
    """
    with context.database.begin() as c:
        expire_sessions(c)
    end, done = time.monotonic() + MOST_SECONDS, 0
    seen: set[UUID] = set()
    while time.monotonic() < end:
        with context.database.begin() as c:
            soon = [one for one in list_due_refreshes(c, TOKENS) if one[0] not in seen]
        if not soon:
            break
        seen.update(account for account, _ in soon)
        done += sum(
            context.may_begin() and refresh(context, account, version, ahead=True) is None
            for account, version in soon
        )
    return done


def recheck_media(context: Context) -> int:
    """Return how many files were checked, a day and a quarter of an hour before their posts are due.

    A bad result is logged and shown as a warning; only publishing decides whether the post fails.
    """
    with context.database.begin() as c:
        due = claim_rechecks(c, MEDIA)
    for one in due:
        failpoint("recheck.taken", one.post_id)
        problem = _recheck(context, one)
        if problem:
            failpoint("recheck.looked", one.post_id)
            log.warning("media of post %s: %s %s", one.post_id, one.url, problem)
            with context.database.begin() as c:
                record_warning(c, one.post_id, f"{one.url}: {problem}")
    return len(due)


def _recheck(context: Context, one: MediaToRecheck) -> str | None:
    try:
        facts = probe(
            context.files.open_workspace(one.workspace_id),
            one.url,
            one.purpose,
        ).facts
    except StorageFault:  # ours, and no problem of the file: publishing waits for the storage
        return None
    except FetchFailed as error:
        return error.reason
    changed = one.etag is not None and facts.etag is not None and facts.etag != one.etag
    return "it is not the file that was checked" if changed or facts.bytes != one.bytes else None
