"""Names for the gaps between two commits, or a commit and a call, so that tests can die in each of them.

Off unless ``FAILPOINTS`` is set, e.g. ``FAILPOINTS=publish.armed=kill@/tmp/once``: the process that reaches the point
first kills itself there (SIGKILL, as a crash would), or stops (SIGSTOP), or the thread that reaches it hangs until the
file is gone. The file makes it happen once. ``publish.armed[ID]=…`` happens to this delivery (account, check, post)
alone, so that a worker can be brought to the same point with many, and die with all of them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from uuid import UUID


def _hang(once: str) -> None:
    while Path(once).exists():
        time.sleep(0.05)


_ACTIONS: Mapping[str, Callable[[str], None]] = {
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": _hang,
}


@lru_cache(maxsize=1)
def _armed() -> Mapping[str, tuple[Callable[[str], None], str]]:
    found = {}
    for entry in filter(None, os.environ.get("FAILPOINTS", "").split(",")):
        name, _, action = entry.partition("=")
        what, _, once = action.partition("@")
        found[name] = (_ACTIONS[what], once)
    return found


def failpoint(name: str, *whose: UUID) -> None:
    """Nothing, except in a test that named this point. ``whose``: the deliveries (accounts, …) that are at it."""
    if armed := _armed():
        met = [armed[one] for one in (name, *(f"{name}[{w}]" for w in whose)) if one in armed]
        # every file is there before the first of them kills or hangs
        for act, once in [(act, once) for act, once in met if not once or _first(once)]:
            act(once)


def _first(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
