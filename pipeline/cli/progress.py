"""Follow work that goes on elsewhere: percent, rows a second and time left, as a bar on a terminal, else as lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task

POLL_SECONDS = 0.2
LINE_SECONDS = 10.0
"""Between two lines of one step, where there is no terminal."""
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended (128 + SIGINT), as shells have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a work is. ``total`` None: not known yet."""

    step: str
    done: int
    total: int | None
    is_over: bool
    states: str = ""
    """More about it, in words."""


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
    from rich.progress import BarColumn, ProgressColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Facts(ProgressColumn):
        """What the lines say too."""

        def render(self, task: Task) -> Text:
            """Return the facts of the task."""
            return Text(_describe(task))

    shown_on = console or Console(stderr=True)
    columns = (TextColumn("  {task.description}"), BarColumn(30), Facts())
    with Bar(*columns, console=shown_on, transient=console is None, disable=not shown_on.is_terminal) as bar:
        bar.add_task("", states="")
        [task], lines = bar.tasks, _Lines(shown_on)
        while True:
            now = read()
            if task.description not in ("", now.step):
                bar.reset(task.id)
            bar.update(task.id, description=now.step, completed=now.done, total=now.total, states=now.states)
            if not shown_on.is_terminal:
                lines.show(task)
            if now.is_over or time.monotonic() > end:
                return
            time.sleep(POLL_SECONDS)


class _Lines:
    """Writes a line when a step or its states change, and for each ``LINE_SECONDS`` of it."""

    def __init__(self, console: Console) -> None:
        self._console, self._known, self._at = console, ("", ""), 0.0

    def show(self, task: Task) -> None:
        known, now = (task.description, task.fields["states"]), time.monotonic()
        if known != self._known or now - self._at > LINE_SECONDS:
            self._known, self._at = known, now
            self._console.print(f"  {task.description}: {_describe(task)}", highlight=False, soft_wrap=True)


def _describe(task: Task) -> str:
    done, left = int(task.completed), task.time_remaining
    facts = [
        f"{done:,}" if task.total is None else f"{done:,} of {int(task.total):,} ({task.percentage:.0f} %)"
    ]
    if task.speed:
        facts.append(f"{task.speed:,.0f}/s")
    if left:
        facts.append(f"{int(left) // 60}:{int(left) % 60:02} left")
    return "; ".join([", ".join(facts), *filter(None, [task.fields["states"]])])


def is_interactive() -> bool:
    """Return True if somebody watches what goes to standard error."""
    return sys.stderr.isatty()
