"""`slipway top`: what each platform and queue does now, refreshed each second."""

from __future__ import annotations

import signal
import sys
import threading
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
POLL_SECONDS = 0.1
"""From one look for a new reading to the next."""
SPAN_SECONDS = 60.0
"""The scope of the lateness of a refreshed table."""
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

    readings, errors = deque[tuple[float, "Activity"]](), list[Exception]()
    with watch_keys() as wait_for_quit, Live(auto_refresh=False, screen=True) as live:
        # a thread, so that a database that does not answer keeps no key waiting
        threading.Thread(target=_read_on, args=(database, readings, errors), daemon=True).start()
        shown_at = 0.0
        while not wait_for_quit(POLL_SECONDS):
            if errors:
                raise errors[0]
            if readings and readings[-1][0] > shown_at:
                shown_at, activity = readings[-1]
                while readings[0][0] < shown_at - SPAN_SECONDS:
                    readings.popleft()
                live.update(render(activity, readings[0][1]), refresh=True)


def _read_on(database: Database, readings: deque[tuple[float, Activity]], errors: list[Exception]) -> None:
    """Append a reading each second, and the error that ends it."""
    try:
        while True:
            now = time.monotonic()
            readings.append((now, _read(database)))
            time.sleep(INTERVAL_SECONDS)
    except Exception as error:  # noqa: BLE001 - raised where the table is shown
        errors.append(error)


@contextmanager
def watch_keys() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits for some seconds and returns True as soon as q or Ctrl-C has been typed.

    The signal writes to a pipe and raises nothing: a KeyboardInterrupt is lost if it is raised in a finalizer or in a
    callback of a library, and one that comes just before a blocking call waits for its end.
    """
    import os
    import select
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sources = [reader] if before is None else [reader, keyboard]

    def wait_for_quit(seconds: float) -> bool:
        ready, _, _ = select.select(sources, [], [], seconds)
        # the byte stays in the pipe: once asked to end, it always ends
        return reader in ready or (keyboard in ready and os.read(keyboard, 1024) in {b"q", b"Q", b""})

    handler = signal.signal(signal.SIGINT, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        if before is not None:
            tty.setcbreak(keyboard)
        yield wait_for_quit
    finally:
        if before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        os.close(reader)
        os.close(writer)
