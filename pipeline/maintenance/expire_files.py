"""Removes uploaded files that nothing needs any more, uploads that never came, and what broken ones left in storage."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.media.files.storage_folder import StorageAway
from pipeline.store.files import expiry
from pipeline.store.files import files as store

log = logging.getLogger("slipway.upkeep")

BATCH = 200
ABANDONED = timedelta(days=1)
"""Age, beyond the longest upload, at which an upload that was opened or begun is over for good."""


def expire_files(context: Context) -> int:
    """How many files, uploads and leftovers are gone."""
    over = ABANDONED + timedelta(seconds=context.settings.files.upload_time)
    with context.database.begin() as c:
        broken = expiry.give_up_puts(c, over, BATCH)
    gone = _cleared(context, broken, store.forget_put)
    with context.database.begin() as c:
        expiry.remove_unused(c, timedelta(days=context.settings.files.keep_days), BATCH)
        removed = expiry.removed_objects(c, BATCH)
    gone += _cleared(context, removed, expiry.forget_removed)
    with context.database.begin() as c:
        return gone + expiry.forget_waiting(c, over, BATCH)


def _cleared(context: Context, objects: list[str], forget: Callable[[Connection, str], None]) -> int:
    """Removes objects, then the rows that named them; a storage that is away leaves both for the next time."""
    for number, key in enumerate(objects):
        failpoint("files.removing")
        try:
            context.files.storage.remove(key)
        except StorageAway as error:
            log.warning("uploaded files are not cleaned up: %s", error)
            return number
        failpoint("files.removed")
        with context.database.begin() as c:
            forget(c, key)
    return len(objects)
