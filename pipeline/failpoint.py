"""Names for the gaps between two commits, or a commit and a call, so that tests can die in each of them.

Off unless ``FAILPOINTS`` is set, e.g. ``FAILPOINTS=publish.armed=kill@/tmp/once``: the process that reaches the point
first kills itself there (SIGKILL, as a crash would), or stops (SIGSTOP). The file makes it happen once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def _armed() -> Mapping[str, tuple[signal.Signals, str]]:
    found = {}
    for entry in filter(None, os.environ.get("FAILPOINTS", "").split(",")):
        name, _, action = entry.partition("=")
        what, _, once = action.partition("@")
        found[name] = (_SIGNALS[what], once)
    return found


_ARMED = _armed()


def failpoint(name: str) -> None:
    """Nothing, except in a test that named this point."""
    if _ARMED and name in _ARMED:
        number, once = _ARMED[name]
        if once and not _first(once):
            return
        os.kill(os.getpid(), number)


def _first(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
