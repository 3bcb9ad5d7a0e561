"""The fork server: forks one probe process for each file. The libraries are loaded once, so a fork takes milliseconds.

``probe_pool.py`` starts it as ``python -I fork_server.py``, with an empty environment and one socket as standard input.
It reads no byte of any file: the pipes of a probe process pass through it and are closed. When the socket closes, it
kills its children and ends.

Why not ``multiprocessing``'s forkserver (Python 3.11): it inherits the environment, and with it the vault keys; every
process of the user may connect to its socket; and it reaps a child before the parent kills it by its id, which may be
another process's by then. It costs 17.3 ms of processor time a file where this costs 15.3 ms, and a new interpreter for
each file 106 ms (measured side by side on a busy machine, 2026-11-27; 12 ms on an idle one).
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

MESSAGE = struct.Struct(">i")
"""A request: `FORK`, sent with the child's ends of two pipes, or the process id of a child to kill."""
ANSWER = struct.Struct(">iiQd")
"""The process id of the child that was forked or killed; of a killed one its wait status, the most memory that it had
resident in bytes, and its seconds of processor time. The first message is `STARTED`.
"""
FORK = STARTED = 0


def main() -> None:
    """Serve requests until the socket is closed."""
    sys.path.append(str(Path(__file__).parents[3]))
    from pipeline.media.probe import probe_worker  # noqa: PLC0415

    probe_worker.load_libraries()
    gc.freeze()  # a collection in a child would copy the pages of all that is loaded
    children: set[int] = set()
    try:
        with socket.socket(fileno=0) as parent:
            parent.sendall(ANSWER.pack(STARTED, 0, 0, 0.0))
            _serve(parent, children)
    except ConnectionError:
        pass  # the parent has died
    finally:
        for pid in children:
            _kill(pid)


def _serve(parent: socket.socket, children: set[int]) -> None:
    while True:
        data, pipes, _, _ = socket.recv_fds(parent, MESSAGE.size, 2)
        if not data:
            return
        (pid,) = MESSAGE.unpack(data)
        usage = (0, 0, 0.0)
        if pid == FORK:
            pid = _fork(*pipes)
            children.add(pid)
        elif pid in children:
            children.remove(pid)
            usage = _kill(pid)
        parent.sendall(ANSWER.pack(pid, *usage))


def _fork(incoming: int, outgoing: int) -> int:
    pid = os.fork()
    if pid == 0:
        _become_probe(incoming, outgoing)
    os.close(incoming)
    os.close(outgoing)
    return pid


def _become_probe(incoming: int, outgoing: int) -> NoReturn:
    """Keep nothing open but the two pipes, in a session of its own, with nowhere to print."""
    from pipeline.media.probe import probe_worker  # noqa: PLC0415

    try:
        os.setsid()
        os.dup2(incoming, 0)  # replaces the socket to the parent
        os.dup2(outgoing, 3)
        os.closerange(4, 64)
        probe_worker.serve(0, 3)
    finally:
        os._exit(1)  # whatever happens, it must not go on as a second fork server


def _kill(pid: int) -> tuple[int, int, float]:
    """Kill a child and reap it. Only this process reaps, so the process id cannot belong to another process yet.

    Return its wait status (of its own end, if that came first), its peak memory in bytes and its processor time.
    """
    os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    return status, usage.ru_maxrss * unit, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
