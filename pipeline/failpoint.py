"""Names for the gaps between two commits, or a commit and a call, so that tests can die in each of them.

Off unless ``FAILPOINTS`` is set, e.g. ``FAILPOINTS=publish.armed=kill@/tmp/once``: the process that reaches the point
first kills itself there (SIGKILL, as a crash would), or stops (SIGSTOP), or the thread that reaches it hangs for ever.
The file makes it happen once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping


def _hang() -> None:
    threading.Event().wait()


_ACTIONS: Mapping[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": _hang,
}


def _armed() -> Mapping[str, tuple[Callable[[], None], str]]:
    found = {}
    for entry in filter(None, os.environ.get("FAILPOINTS", "").split(",")):
        name, _, action = entry.partition("=")
        what, _, once = action.partition("@")
        found[name] = (_ACTIONS[what], once)
    return found


_ARMED = _armed()


def failpoint(name: str) -> None:
    """Nothing, except in a test that named this point."""
    if _ARMED and name in _ARMED:
        act, once = _ARMED[name]
        if once and not _first(once):
            return
        act()


def _first(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
