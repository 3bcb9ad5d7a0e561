"""Expire imports: remove the files and the rows of those at rest; their counts, and the posts they made, stay.

Each is removed in steps that can be repeated after a crash: the object, the rows, then the mark that both are gone.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from pipeline.maintenance.expire_files import ABANDONED
from pipeline.media.files.storage_folder import StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.imports import imports as store
from pipeline.store.imports.rows import delete_rows

log = logging.getLogger("slipway.upkeep")

BATCH = 20
ROWS = 5_000
"""Rows deleted in one transaction."""


def expire_imports(context: Context) -> int:
    """Return how many imports were removed."""
    keep = timedelta(days=context.settings.imports.keep_days)
    abandoned = ABANDONED + timedelta(seconds=context.settings.files.upload_time)
    with context.database.begin() as c:
        expired = store.list_expired(c, keep, abandoned, BATCH)
    for number, (identity, key) in enumerate(expired):
        try:
            context.files.storage.remove(key)
        except StorageUnavailable as error:
            log.warning("the files of imports cannot be removed: %s", error)
            return number
        failpoint("imports.file-removed", identity)
        _remove_rows(context, identity)
    return len(expired)


def _remove_rows(context: Context, identity: UUID) -> None:
    deleted = ROWS
    while deleted == ROWS:
        with context.database.begin() as c:
            deleted = delete_rows(c, identity, ROWS)
    failpoint("imports.rows-removed", identity)
    with context.database.begin() as c:
        store.mark_removed(c, identity)
        store.forget_upload(c, identity)
