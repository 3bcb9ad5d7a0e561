"""Make the thumbnail of a media check that was decided good, and store it with the files.

The verdict is committed before, so that no request and no post waits, and nothing that fails here changes it. If the
process dies, there is none, and maintenance removes what it has stored by then: an object that ``file_puts`` names, and
a row without content. Of two processes that found the same check good, the first to open the row stores it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from uuid import UUID

from pipeline.media.probe.probe import ProbedMedia
from pipeline.media.probe.probe_client import get_probe_memory
from pipeline.media.probe.probe_worker import THUMBNAIL_MEMORY
from pipeline.media.url_policy import FetchFailed
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.counters.counters import append_deltas
from pipeline.store.database import Unreachable
from pipeline.store.files.files import finish_derived
from pipeline.store.files.thumbnails import open_thumbnail

log = logging.getLogger("slipway.reachability")

COUNTER = "slipway_thumbnails_total"
WAIT_SECONDS = 30.0
"""How long a slot waits for the memory, one thumbnail at a time in a process: in turn with all other slots."""


def make_thumbnail(context: Context, check: UUID, probed: ProbedMedia) -> None:
    """Make and store the thumbnail. A failure is logged and counted, and leaves none.

    Another slot is told to take the next check, which a request may wait for. A process that ends makes none.
    """
    if context.shutdown.time_left() is not None:
        return
    context.dispatcher.send_checks([check])
    try:
        memory = get_probe_memory(context.settings.reachability.probe_memory)
        with memory.reserve(THUMBNAIL_MEMORY, WAIT_SECONDS):
            if context.shutdown.time_left() is not None:
                return
            data = probed.make_thumbnail()
        if data is not None:
            _store(context, check, data)
    except Exception as error:
        is_ours = not isinstance(error, FetchFailed)  # else of the file or its host, and the text says all
        log.warning("check %s gets no thumbnail: %s", check, error, exc_info=is_ours)
        with suppress(Unreachable), context.database.begin() as c:
            append_deltas(c, COUNTER, [({"outcome": "failed"}, 1)])


def _store(context: Context, check: UUID, data: bytes) -> None:
    with context.database.begin() as c:
        file = open_thumbnail(c, check)
    if file is None:
        return
    content = context.files.put(file, data)
    failpoint("thumbnail.stored", check)
    with context.database.begin() as c:
        finish_derived(c, file, content, lost=None)
        append_deltas(c, COUNTER, [({"outcome": "made"}, 1)])
