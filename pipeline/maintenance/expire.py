"""Expire data kept for a limited time: audit rows, the undo log, idempotency keys, files, imports, events of webhooks.

Files and imports are removed in steps that can be repeated after a crash: the object, its rows, then the mark or row
that names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.media.storage import StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store import audit, idempotency_keys, unsent_forms
from pipeline.store.files import expiry, files
from pipeline.store.imports import imports
from pipeline.store.imports.rows import delete_rows
from pipeline.store.posts import undo_log
from pipeline.store.webhooks import events

log = logging.getLogger("slipway.upkeep")

FILES, IMPORTS = 1_000, 20
"""Removed in one run."""
ROWS, EVENTS = 5_000, 1_000
"""Deleted in one transaction; that of events holds the lock of their webhook."""
ABANDONED = timedelta(days=1)
"""How long after the longest upload an upload that was opened or begun counts as abandoned."""


def expire_files(context: Context) -> int:
    """Return how many files, uploads and leftovers were removed."""
    over = ABANDONED + timedelta(seconds=context.settings.files.upload_time)
    with context.database.begin() as c:
        broken = expiry.give_up_puts(c, over, FILES)
    gone = remove_objects(context, broken, files.forget_put)
    with context.database.begin() as c:
        expiry.remove_unused(c, timedelta(days=context.settings.files.keep_days), FILES)
        removed = expiry.list_removed_objects(c, FILES)
    gone += remove_objects(context, removed, expiry.forget_removed)
    with context.database.begin() as c:
        return gone + expiry.forget_waiting(c, over, FILES)


def remove_objects(context: Context, objects: list[str], forget: Callable[[Connection, str], None]) -> int:
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


def expire_imports(context: Context) -> int:
    """Remove files and rows of imports at rest, and return of how many; their counts, and the posts they made, stay."""
    keep = timedelta(days=context.settings.imports.keep_days)
    abandoned = ABANDONED + timedelta(seconds=context.settings.files.upload_time)
    with context.database.begin() as c:
        expired = imports.list_expired(c, keep, abandoned, IMPORTS)
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
    _delete_all(context, lambda c: delete_rows(c, identity, ROWS))
    failpoint("imports.rows-removed", identity)
    with context.database.begin() as c:
        imports.mark_removed(c, identity)
        imports.forget_upload(c, identity)


def expire_audit(context: Context) -> int:
    """Return how many audit rows, logged changes, idempotency keys and unsent forms were deleted.

    Audit rows are kept for as long as the setting says, by default for ever; keys for a day, changes for an hour, forms
    for 30 days.
    """
    total = _delete_all(context, lambda c: idempotency_keys.delete_expired(c, ROWS))
    total += _delete_all(context, lambda c: undo_log.delete_expired(c, ROWS))
    total += _delete_all(context, lambda c: unsent_forms.delete_expired(c, ROWS))
    if keep := context.settings.audit.keep_days:
        total += _delete_all(context, lambda c: audit.delete_expired(c, timedelta(days=keep), ROWS))
    return total


def _delete_all(context: Context, delete: Callable[[Connection], int]) -> int:
    deleted, total = ROWS, 0
    while deleted == ROWS:
        with context.database.begin() as c:
            deleted = delete(c)
        total += deleted
    return total


def expire_webhook_events(context: Context) -> int:
    """Return how many events were deleted. One that was never delivered is reported in the log."""
    keep, deleted = timedelta(days=context.settings.webhooks.keep_days), 0
    with context.database.begin() as c:
        webhooks = events.list_kept(c)
    for webhook, is_deleted in webhooks:
        gone, lost = EVENTS, 0
        while gone == EVENTS:
            with context.database.begin() as c:
                gone, undelivered = events.delete_oldest(
                    c, webhook, timedelta(0) if is_deleted else keep, EVENTS
                )
                events.delete_row(c, webhook)
            failpoint("webhooks.expired", webhook)
            deleted, lost = deleted + gone, lost + undelivered
        if lost and not is_deleted:
            log.warning("webhook=%s: %s events expired that were never delivered", webhook, lost)
    return deleted
