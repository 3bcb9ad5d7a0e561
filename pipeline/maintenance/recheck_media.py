"""Check the media of scheduled posts again, a day and a quarter of an hour before they are due.

A bad result is logged and shown as a warning; only publishing decides whether the post fails.
"""

from __future__ import annotations

import logging

from adapters.errors import StorageFault
from pipeline.media.probe.probe import probe
from pipeline.media.refusal import FetchFailed
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.checks import recheck as store

log = logging.getLogger("slipway.upkeep")

BATCH = 20


def recheck_media(context: Context) -> int:
    """Return how many files were checked."""
    with context.database.begin() as c:
        due = store.claim_rechecks(c, BATCH)
    for one in due:
        failpoint("recheck.taken", one.post_id)
        problem = _recheck(context, one)
        if problem:
            failpoint("recheck.looked", one.post_id)
            log.warning("media of post %s: %s %s", one.post_id, one.url, problem)
            with context.database.begin() as c:
                store.record_warning(c, one.post_id, f"{one.url}: {problem}")
    return len(due)


def _recheck(context: Context, one: store.MediaToRecheck) -> str | None:
    try:
        facts = probe(
            context.files.open_workspace(one.workspace_id),
            one.url,
            "video" if one.purpose == "video" else "image",
        )
    except StorageFault:  # ours, and no problem of the file: publishing waits for the storage
        return None
    except FetchFailed as error:
        return error.reason
    changed = one.etag is not None and facts.etag is not None and facts.etag != one.etag
    return "it is not the file that was checked" if changed or facts.bytes != one.bytes else None
