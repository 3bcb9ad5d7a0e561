"""One step of an import: claim it, do one chunk of rows, and dispatch the next.

If a worker dies anywhere, the chunk was committed with its position or not at all. Maintenance dispatches the next step
when no worker has had the import for a while; a step that is dispatched twice is done once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import UUID

from pipeline.bulk.apply import apply_chunk
from pipeline.bulk.formats import FileProblem
from pipeline.bulk.judge import PostFormat
from pipeline.bulk.plan import LEASE, read_chunk
from pipeline.bulk.rollback import roll_back_chunk
from pipeline.context import Context
from pipeline.domain.bulk_import import ImportState
from pipeline.failpoint import failpoint
from pipeline.media.files.storage_folder import StorageUnavailable
from pipeline.media.probe.probe_pool import ProbeUnavailable
from pipeline.media.refusal import Unanswered
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

log = logging.getLogger("slipway.imports")

Step = Callable[[Context, Import, Caller, PostFormat], None]
STEPS: Mapping[ImportState, Step] = {
    ImportState.READING: read_chunk,
    ImportState.APPLYING: apply_chunk,
    ImportState.ROLLING_BACK: roll_back_chunk,
}
"""What the next step of an import does, by its state."""


def run_step(context: Context, identity: UUID, form: PostFormat) -> None:
    """Do the next step of an import, if it has one that no other worker does, and dispatch the one after it."""
    with context.database.begin() as c:
        job = store.claim_step(c, identity, LEASE)
        caller = None if job is None else read_caller(c, job.workspace_id, job.key_id)
    if job is None:
        return
    failpoint("imports.claimed", identity)
    if caller is None:
        _fail(context, job, "invalid_token", "The key that made this import was revoked, or it has expired.")
        return
    try:
        STEPS[job.state](context, job, replace(caller, bulk=True), form)
    except FileProblem as problem:
        _fail(context, job, problem.code, problem.message)
        return
    except (StorageUnavailable, Unanswered, ProbeUnavailable) as error:
        log.warning("the file of import %s cannot be read now: %s", identity, error)
        return  # maintenance dispatches it again
    context.dispatcher.send_imports([identity])


def _fail(context: Context, job: Import, code: str, message: str) -> None:
    with context.database.begin() as c:
        store.fail(c, job, {"code": code, "message": message})
