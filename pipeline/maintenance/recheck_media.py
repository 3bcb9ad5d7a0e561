"""Looks at the media of far-away posts again, a day and a quarter of an hour before they are due.

A bad result then is an event and a warning, never a failure: the last word is the publish step's.
"""

from __future__ import annotations

import logging

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.media.probe.probe import probe
from pipeline.media.refusal import FetchFailed
from pipeline.store.checks import recheck as store

log = logging.getLogger("slipway.upkeep")

BATCH = 20


def recheck_media(context: Context) -> int:
    """How many files were looked at."""
    with context.database.begin() as c:
        due = store.take_due(c, BATCH)
    for one in due:
        failpoint("recheck.taken", one.post_id)
        trouble = _look(context, one)
        if trouble:
            failpoint("recheck.looked", one.post_id)
            log.warning("media of post %s: %s %s", one.post_id, one.url, trouble)
            with context.database.begin() as c:
                store.warn(c, one.post_id, f"{one.url}: {trouble}")
    return len(due)


def _look(context: Context, one: store.Due) -> str | None:
    try:
        facts = probe(
            context.files.opener(one.workspace_id), one.url, "video" if one.purpose == "video" else "image"
        )
    except FetchFailed as error:
        return error.reason
    changed = one.etag is not None and facts.etag is not None and facts.etag != one.etag
    return "it is not the file that was checked" if changed or facts.bytes != one.bytes else None
