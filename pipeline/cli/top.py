"""`slipway top`: what each platform and queue does now, refreshed each second."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option
from pipeline.cli.runtime import open_database

if TYPE_CHECKING:
    from pipeline.actions.activity import Activity
    from pipeline.store.database import Database

INTERVAL_SECONDS = 1.0
SPAN_SECONDS = 60.0
"""What the lateness of a refreshed table is about."""
PIPE_WIDTH = 140


@click.command(epilog=EXAMPLE + "slipway top --once")
@click.option("--once", is_flag=True, help="Print one table and end, as into a pipe.")
@json_option
def command(*, once: bool, as_json: bool) -> None:
    """Show per platform what waits and for what, what is in work, settles and is late, and each queue's silence.

    Refreshed each second; q or Ctrl-C ends it. Settled counts the last minute. Lateness is what 95 % kept: of the last
    minute, or since counting began where one table is printed (--once, --json, into a pipe).
    """
    with open_database() as database:
        if as_json:
            import json

            from pipeline.cli.top_table import to_dict

            click.echo(json.dumps(to_dict(_read(database)), indent=2))
        elif once or not sys.stdout.isatty():
            from rich.console import Console

            from pipeline.cli.top_table import render

            Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(render(_read(database)))
        else:
            _refresh(database)


def _read(database: Database) -> Activity:
    from pipeline.actions.activity import read_activity

    with database.begin() as c:
        return read_activity(c)


def _refresh(database: Database) -> None:
    """Show the activity on the terminal's alternate screen until q or Ctrl-C."""
    from rich.live import Live

    from pipeline.cli.top_table import render

    readings = deque[tuple[float, "Activity"]]()
    with _read_keys() as wait_for_quit, Live(auto_refresh=False, screen=True) as live:
        is_over = False
        while not is_over:
            now = time.monotonic()
            readings.append((now, _read(database)))
            while readings[0][0] < now - SPAN_SECONDS:
                readings.popleft()
            live.update(render(readings[-1][1], readings[0][1]), refresh=True)
            is_over = wait_for_quit(INTERVAL_SECONDS)


@contextmanager
def _read_keys() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits for some seconds and returns True as soon as q is typed. Ctrl-C ends the block."""
    import os
    import select
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None

    def wait_for_quit(seconds: float) -> bool:
        if before is None:
            time.sleep(seconds)
            return False
        typed, _, _ = select.select([keyboard], [], [], seconds)
        return bool(typed) and os.read(keyboard, 1024) in {b"q", b"Q", b""}

    try:
        if before is not None:
            tty.setcbreak(keyboard)
        yield wait_for_quit
    except KeyboardInterrupt:
        pass
    finally:
        if before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
