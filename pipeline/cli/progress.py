"""Follow work that goes on elsewhere: percent, rows a second and time left, as a bar on a terminal, else as lines.

Of an import that stands still it says what it waits for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import lazy_imports

with lazy_imports():
    from pipeline.broker import queues as queue_table
    from pipeline.domain import bulk_import
    from pipeline.store import canaries
    from pipeline.store.imports import imports

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

POLL_SECONDS = 0.2
LINE_SECONDS = 10.0
"""Between two lines of one step, where there is no terminal."""
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended (128 + SIGINT), as shells have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a work is. ``total`` None: not known yet. ``states``: more about it, in words."""

    step: str
    done: int
    total: int | None
    is_over: bool
    states: str = ""


def show_progress(
    read: Callable[[], Progress],
    *,
    hint: str | None = None,
    console: Console | None = None,
    timeout: float = float("inf"),
) -> None:
    """Show progress until the work is over, or ``timeout`` seconds have passed.

    With a *hint*, Ctrl-C ends the command and not the work: the hint says how to follow it again. Exit status 130.
    """
    try:
        _show(read, console, time.monotonic() + timeout)
    except KeyboardInterrupt:
        if hint is None:
            raise
        click.echo(f"\nThe work goes on without this command. {hint}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _show(read: Callable[[], Progress], console: Console | None, end: float) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    shown_on = console or Console(stderr=True)
    columns = (TextColumn("  {task.description}"), BarColumn(30), TextColumn("{task.fields[facts]}"))
    known, shown_at = ("", ""), 0.0
    with Bar(*columns, console=shown_on, transient=console is None, disable=not shown_on.is_terminal) as bar:
        bar.add_task("", total=None, facts="")
        [task] = bar.tasks
        while True:
            now = read()
            if task.description not in ("", now.step):
                bar.reset(task.id)
            task.total = now.total  # an update would take None for no change
            bar.update(task.id, description=now.step, completed=now.done)
            bar.update(task.id, facts="; ".join(filter(None, [_describe(task), now.states])))
            is_new = (now.step, now.states) != known or time.monotonic() - shown_at > LINE_SECONDS
            if is_new and not shown_on.is_terminal:
                known, shown_at = (now.step, now.states), time.monotonic()
                shown_on.print(f"  {now.step}: {task.fields['facts']}", highlight=False, soft_wrap=True)
            if now.is_over or time.monotonic() > end:
                return
            time.sleep(POLL_SECONDS)


def _describe(task: Task) -> str:
    done, left = int(task.completed), int(task.time_remaining or 0)
    share = "" if task.total is None else f" of {int(task.total):,} ({task.percentage:.0f} %)"
    rate = f", {task.speed:,.0f}/s" if task.speed else ""
    return f"{done:,}{share}{rate}" + (f", {left // 60}:{left % 60:02} left" if left else "")


def is_interactive() -> bool:
    """Return True if somebody watches what goes to standard error."""
    return sys.stderr.isatty()


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
