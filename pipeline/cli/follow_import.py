"""Follow an import until it rests, and say what it waits for while it stands still."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import lazy_imports
from pipeline.cli.progress import Progress, show_progress

with lazy_imports():
    from pipeline.broker import queues as queue_table
    from pipeline.domain import bulk_import
    from pipeline.store import canaries
    from pipeline.store.imports import imports

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

PATIENCE_SECONDS = 20.0
"""Seconds after which a standstill of an import is reported as a wait for a worker."""

SILENT = timedelta(seconds=30)
"""After which a queue counts as one that no worker takes messages from."""


def follow_import(context: Context, caller: Caller, job: imports.Import) -> imports.Import:
    """Return the import once it rests. Progress goes to standard error. Raises ClickException, and Exit on Ctrl-C."""
    moved_at, warned = time.monotonic(), False

    def read() -> Progress:
        nonlocal job, moved_at, warned
        with context.database.begin() as c:
            now = imports.find_import(c, caller, job.id)
            silence = canaries.read_silences(c).get(queue_table.IMPORTS)
        if now is None:
            raise click.ClickException(f"The import {job.id} was removed in the meantime.")
        if (now.state, now.rows, now.done) != (job.state, job.rows, job.done):
            moved_at, warned = time.monotonic(), False
        elif (
            now.state in bulk_import.WORKING and not warned and time.monotonic() - moved_at > PATIENCE_SECONDS
        ):
            click.echo(_explain_wait(silence), err=True)
            warned = True
        job = now
        is_planned = now.has_plan and now.state is not bulk_import.ImportState.PLANNED
        return Progress(
            step=now.state.replace("_", " "),
            done=now.done if is_planned else now.rows,
            total=now.rows if is_planned else now.total,
            is_over=now.state not in bulk_import.WORKING,
        )

    if job.state in bulk_import.WORKING:
        show_progress(read, hint=f"Follow it: slipway import show {job.id} --wait")
    return job


def _explain_wait(silence: timedelta | None) -> str:
    """Return why an import does not move. *silence*: how long no worker has taken messages of its queue."""
    if silence is not None and silence < SILENT:
        return "It waits for its turn: a worker takes imports, and works on others or waits for the database."
    return "No worker takes imports: start one with `slipway worker upkeep`."
