"""Failpoints: names for the gaps between two commits, or a commit and a call, at which tests crash a process.

Off unless ``FAILPOINTS`` is set, e.g. ``FAILPOINTS=publish.armed=kill@/tmp/once``. The first process to reach the point
kills itself there (``kill``: SIGKILL, like a crash) or stops itself (``stop``: SIGSTOP), or the thread that reaches it
waits until the file is removed (``hang``). The file, created by the first to reach the point, makes it happen once.
``publish.armed[ID]=…`` applies to this delivery (account, check, post) only, so that a test can bring a worker to one
point with many deliveries and crash it with all of them.

``FAILPOINTS_FOLDER=FOLDER`` lets a test hold points of running processes. A thread that reaches ``publish.armed`` with
a delivery while the folder has a file ``publish.armed[ID]`` renames it to ``publish.armed[ID]@PID``, and waits until
the test removes that.
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
def _folder() -> Path | None:
    found = os.environ.get("FAILPOINTS_FOLDER")
    return Path(found) if found else None


def _wait_if_held(folder: Path, point: str) -> None:
    here = folder / f"{point}@{os.getpid()}"
    try:
        (folder / point).rename(here)
    except FileNotFoundError:
        return
    _hang(str(here))


@lru_cache(maxsize=1)
def _armed() -> Mapping[str, tuple[Callable[[str], None], str]]:
    found = {}
    for entry in filter(None, os.environ.get("FAILPOINTS", "").split(",")):
        name, _, action = entry.partition("=")
        what, _, once = action.partition("@")
        found[name] = (_ACTIONS[what], once)
    return found


def failpoint(name: str, *ids: UUID) -> None:
    """Do nothing, unless a test named this point. *ids*: the deliveries (accounts, checks, posts) that are at it."""
    if armed := _armed():
        met = [armed[one] for one in (name, *(f"{name}[{i}]" for i in ids)) if one in armed]
        # every file is created before the first action kills or hangs
        for act, once in [(act, once) for act, once in met if not once or _create(once)]:
            act(once)
    if folder := _folder():
        for i in ids:
            _wait_if_held(folder, f"{name}[{i}]")


def _create(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
