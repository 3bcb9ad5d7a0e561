"""`slipway top`: what the platforms and queues do now, once into a pipe, refreshed in a terminal until q or Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.errors import OutcomeUnknown, Rejected
from pipeline.actions.activity import find_lateness
from pipeline.cli.health import watch_keys
from pipeline.domain.delivery import State
from pipeline.store.canaries import record_canary
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import export_all
from tests.pipeline.maintenance.test_export_moves import accept, delay, publish
from tests.pipeline.scripted_adapter import Script, raising
from tests.pipeline.store.ledger import HOUR
from tests.waiting import until

INTERRUPT = b"\x03"
START = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # as a shell does: keys send signals
sys.argv[1:] = ["top"]
from pipeline.cli import main
main()
"""


def read_platform(terminal: Terminal, name: str) -> dict[str, Any]:
    found = {one["platform"]: one for one in terminal.json("top")["platforms"]}
    assert len(found) == 6
    return dict(found[name])


def test_it_shows_what_waits_is_late_settles_and_needs_an_answer(
    terminal: Terminal, core: CoreFixture
) -> None:
    post = accept(core, accounts=4)
    delay(core, post, 3)
    assert publish(core, Script(), post, 0) is State.PUBLISHED
    assert publish(core, Script(finalize=raising(Rejected("no"))), post, 1) is State.FAILED
    assert publish(core, Script(finalize=raising(OutcomeUnknown("?"))), post, 2) is State.UNKNOWN
    account = core.account("another")
    core.ledger.post([account], due=-HOUR)
    core.ledger.post([account], due=HOUR)
    core.ledger.post([account], State.ACCEPTED, due=HOUR)
    export_all(core)
    found = read_platform(terminal, "tiktok")
    assert 3600 <= found.pop("oldest_overdue_seconds") < 7200
    assert found == {
        "platform": "tiktok",
        "waiting": {"checking": 1, "scheduled": 2},
        "in_work": 1,
        "overdue": {"backlog": 1},
        "unknown": 1,
        "blocked": 0,
        "settled_last_minute": {"failed": 1, "published": 1},
        "lateness_le": found["lateness_le"],
    }
    assert float(found["lateness_le"]) >= 5


def test_a_queue_is_shown_with_its_silence_and_a_table_goes_into_a_pipe_once(
    terminal: Terminal, core: CoreFixture
) -> None:
    with core.context.database.begin() as c:
        record_canary(c, "publish.tiktok")
    silences = {one["queue"]: one["silence_seconds"] for one in terminal.json("top")["queues"]}
    assert 0 <= silences["publish.tiktok"] < 60
    assert silences["webhooks"] is None
    for words in (["top"], ["top", "--once"]):
        shown = terminal.text(*words)
        assert shown.count("tiktok") == 2, "the platform, and its queue"
        assert "webhooks never" in shown
        assert "\x1b" not in shown


# --- in a terminal ---------------------------------------------------------------------------------------------------


@contextmanager
def in_terminal(terminal: Terminal, patch: str = "") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `slipway top` in a pseudoterminal; yield it and the terminal's other end."""
    screen, inside = pty.openpty()
    termios.tcsetwinsize(inside, (40, 140))
    process = subprocess.Popen(
        [sys.executable, "-c", patch + START],
        env={**terminal.environment, "TERM": "xterm"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.set_blocking(screen, False)
    try:
        yield process, screen
    finally:
        process.kill()
        process.wait(60)
        os.close(inside)
        os.close(screen)


def read(screen: int) -> bytes:
    try:
        return os.read(screen, 1 << 16)
    except BlockingIOError:
        return b""


def test_a_terminal_is_refreshed_until_a_key_ends_it_and_left_as_it_was(
    terminal: Terminal, core: CoreFixture
) -> None:
    with in_terminal(terminal) as (process, screen):
        before = termios.tcgetattr(screen)
        shown = bytearray()

        def shows(text: bytes) -> bool:
            shown.extend(read(screen))
            return text in shown

        until(lambda: shows(b"youtube"), 60, shown.decode)
        core.ledger.posts(777, [core.account("later")], due=HOUR)
        export_all(core)
        total = read_platform(terminal, "tiktok")["waiting"]["scheduled"]
        until(lambda: shows(f"{total} scheduled".encode()), 60, shown.decode)
        os.write(screen, b"q")
        until(lambda: shows(b"\x1b[?1049l"), 60, shown.decode)
        assert process.wait(60) == 0
        assert b"Traceback" not in shown
        assert termios.tcgetattr(screen) == before


LOSE_INTERRUPT = """
import os, signal
from rich.live import Live
real = Live.update
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)  # what a handler raises in here is discarded
def update(self, *args, **more):
    real(self, *args, **more)
    Finalized()
Live.update = update
"""


def test_a_ctrl_c_that_arrives_in_a_finalizer_ends_it(terminal: Terminal) -> None:
    with in_terminal(terminal, LOSE_INTERRUPT) as (process, screen):
        shown = bytearray()

        def ends() -> bool:
            shown.extend(read(screen))
            return b"\x1b[?1049l" in shown

        until(ends, 60, shown.decode)
        assert process.wait(60) == 0


def test_ctrl_c_ends_it_while_the_database_does_not_answer(terminal: Terminal, core: CoreFixture) -> None:
    with core.context.database.begin() as c, in_terminal(terminal) as (process, screen):
        c.exec_driver_sql("LOCK TABLE canaries, deliveries IN ACCESS EXCLUSIVE MODE")
        shown = bytearray()

        def shows(text: bytes) -> bool:
            shown.extend(read(screen))
            return text in shown

        until(lambda: shows(b"\x1b[?1049h"), 60, shown.decode)
        os.write(screen, INTERRUPT)
        until(lambda: shows(b"\x1b[?1049l"), 60, shown.decode)
        assert process.wait(60) == 0


def interrupt_after(turns: int) -> None:
    for _ in range(turns):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_at_any_time_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    no_keys = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: no_keys))
    for turn in range(300):
        with watch_keys() as wait_for_quit:
            sender = Thread(target=interrupt_after, args=(turn * 20,))
            sender.start()
            assert wait_for_quit(60)
            sender.join()


# --- lateness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "before", "bound"),
    [
        ({"0.1": 9}, {"0.1": 9}, None),
        ({"0.1": 95, "60.0": 5}, {}, "0.1"),
        ({"0.1": 94, "60.0": 6}, {}, "60.0"),
        ({"0.1": 94, "60.0": 6}, {"0.1": 94}, "60.0"),
        ({"0.1": 1, "+Inf": 1}, {}, "+Inf"),
    ],
)
def test_lateness_is_the_bound_that_95_percent_kept_since_an_earlier_reading(
    now: dict[str, float], before: dict[str, float], bound: str | None
) -> None:
    assert find_lateness(now, before) == bound
