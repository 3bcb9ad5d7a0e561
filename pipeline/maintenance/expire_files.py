"""Expire uploaded files: remove unused files, abandoned uploads, and what failed uploads left in storage."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.media.files.storage_folder import StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.files import expiry
from pipeline.store.files import files as store

log = logging.getLogger("slipway.upkeep")

BATCH = 200
ABANDONED = timedelta(days=1)
"""How long after the longest upload an upload that was opened or begun counts as abandoned."""


def expire_files(context: Context) -> int:
    """Return how many files, uploads and leftovers were removed."""
    over = ABANDONED + timedelta(seconds=context.settings.files.upload_time)
    with context.database.begin() as c:
        broken = expiry.give_up_puts(c, over, BATCH)
    gone = _remove_objects(context, broken, store.forget_put)
    with context.database.begin() as c:
        expiry.remove_unused(c, timedelta(days=context.settings.files.keep_days), BATCH)
        removed = expiry.list_removed_objects(c, BATCH)
    gone += _remove_objects(context, removed, expiry.forget_removed)
    with context.database.begin() as c:
        return gone + expiry.forget_waiting(c, over, BATCH)


def _remove_objects(context: Context, objects: list[str], forget: Callable[[Connection, str], None]) -> int:
    """Remove objects, then the rows that name them. If the storage is unreachable, the next run removes both."""
    for number, key in enumerate(objects):
        failpoint("files.removing")
        try:
            context.files.storage.remove(key)
        except StorageUnavailable as error:
            log.warning("uploaded files cannot be removed: %s", error)
            return number
        failpoint("files.removed")
        with context.database.begin() as c:
            forget(c, key)
    return len(objects)
