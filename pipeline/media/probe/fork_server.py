"""Forks the inmates of the jail. It has their libraries loaded, so each begins in milliseconds; on its own it took 140.

Started by ``jail.py`` as ``python -I warden.py``, with an empty environment and a socket as standard input; whoever
started it is all it ever talks to, and when they are gone it ends, with every inmate. It never sees a byte of a file:
its inmates get theirs through pipes that it only passes on, and closes.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import NoReturn

ORDER = struct.Struct(">ci")
"""What the warden is told: FORK, with the inmate's two ends of its pipes, or END and the inmate's process id."""
TOLD = struct.Struct(">i")
"""What it answers: the process id of the inmate that it forked or ended; its first word is GUARDING."""
FORK, END = b"F", b"E"
GUARDING = 0


def main() -> None:
    """Until whoever started it is gone."""
    sys.path.append(str(Path(__file__).parents[3]))
    from pipeline.media.probe import probe_worker as inmate  # noqa: PLC0415

    inmate.load()
    gc.freeze()  # a collection in an inmate would copy the pages of all that is loaded
    inmates: set[int] = set()
    try:
        with socket.socket(fileno=0) as line:
            line.sendall(TOLD.pack(GUARDING))
            while order := _order(line):
                line.sendall(TOLD.pack(_carried_out(*order, inmates)))
    finally:
        for pid in inmates:
            _end(pid)


def _carried_out(what: bytes, pid: int, ends: list[int], inmates: set[int]) -> int:
    if what == FORK:
        pid = _forked(*ends)
        inmates.add(pid)
    elif pid in inmates:
        inmates.remove(pid)
        _end(pid)
    return pid


def _order(line: socket.socket) -> tuple[bytes, int, list[int]] | None:
    """One order is sent when the one before was answered, so they come one by one, whole."""
    try:
        data, ends, _, _ = socket.recv_fds(line, ORDER.size, 2)
    except ConnectionError:
        return None
    return (*ORDER.unpack(data), ends) if data else None


def _forked(incoming: int, outgoing: int) -> int:
    """A new process with nothing open but its ends of the pipes, and nowhere to print."""
    pid = os.fork()
    if pid == 0:
        _live(incoming, outgoing)
    os.close(incoming)
    os.close(outgoing)
    return pid


def _live(incoming: int, outgoing: int) -> NoReturn:
    from pipeline.media.probe import probe_worker as inmate  # noqa: PLC0415

    try:
        os.setsid()
        os.dup2(incoming, 0)  # which was the warden's own line
        os.dup2(outgoing, 3)
        os.closerange(4, 64)
        inmate.serve(0, 3)
    finally:
        os._exit(1)  # whatever happens: it must not go on as a second warden


def _end(pid: int) -> None:
    """Kills it, if it still lives, and waits. Nobody else waits for it, so the process id is nobody else's yet."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
