"""Waits for the work of an import: with a bar in a terminal, without one elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller
    from pipeline.store.imports.imports import Import

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 20.0
"""After which an import that does not move is said to wait for a worker."""

SILENT = timedelta(seconds=30)
"""After which a queue counts as one that no worker takes messages from."""


def follow_import(context: Context, caller: Caller, job: Import, *, is_quiet: bool) -> Import:
    """Return the import once it rests. Progress goes to standard error."""
    if is_quiet:
        return _poll(context, caller, job, lambda _: None)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(job.state.replace("_", " "), total=None)

        def draw(now: Import) -> None:
            done = now.done if now.plan is not None else now.rows
            total = now.rows if now.plan is not None else None
            progress.update(bar, description=now.state.replace("_", " "), completed=done, total=total)

        return _poll(context, caller, job, draw)


def _poll(context: Context, caller: Caller, job: Import, draw: Callable[[Import], None]) -> Import:
    from pipeline.broker.queues import IMPORTS
    from pipeline.domain.bulk_import import WORKING
    from pipeline.store.canaries import read_silences
    from pipeline.store.imports.imports import find_import

    moved_at, warned = time.monotonic(), False
    while job.state in WORKING:
        draw(job)
        time.sleep(POLL_SECONDS)
        with context.database.begin() as c:
            now, silence = find_import(c, caller, job.id), read_silences(c).get(IMPORTS)
        if now is None:
            raise click.ClickException(f"The import {job.id} was removed in the meantime.")
        if (now.state, now.rows, now.done) != (job.state, job.rows, job.done):
            moved_at, warned = time.monotonic(), False
        elif time.monotonic() - moved_at > PATIENCE_SECONDS and not warned:
            click.echo(_explain_wait(silence), err=True)
            warned = True
        job = now
    return job


def _explain_wait(silence: timedelta | None) -> str:
    """Return why an import does not move. *silence*: how long no worker has taken messages of its queue."""
    if silence is not None and silence < SILENT:
        return "It waits for its turn: a worker takes imports, and works on others or waits for the database."
    return "No worker takes imports: start one with `slipway worker upkeep`."
