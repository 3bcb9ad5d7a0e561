"""Which process a process id means: ids are used again, a birth is not."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

ON_LINUX = platform.system() == "Linux"


def birth(pid: int) -> str:
    """When process `pid` was started, as a text no other process with its id will have; empty if it is not alive.

    On Linux it counts from the boot (proc_pid_stat(5), field 22), which a corrected clock does not change.
    """
    if ON_LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[0] in {"Z", "X"} else f"{_boot()}:{int(fields[19]):020}"
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.create_time():020.2f}"
    return ""


def session_of(pid: int, since: str) -> list[int]:
    """The living processes of the session that the process `pid`, born `since`, opened; it may be dead itself.

    The kernel gives a process id to nobody else while its session lives, so its members are ours.
    """
    found = []
    for other in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(other) == pid and _same_boot_and_later(birth(other), since):
                found.append(other)
    return found


def _same_boot_and_later(one: str, since: str) -> bool:
    return one >= since and one.rpartition(":")[0] == since.rpartition(":")[0]


@lru_cache(maxsize=1)
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
