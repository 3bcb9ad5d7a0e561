"""Identifies processes: the kernel reuses process ids, but not together with their start time."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

ON_LINUX = platform.system() == "Linux"


def read_start_id(pid: int) -> str:
    """Return the start of process `pid` as a text that no later process with its id has; empty if it is not alive.

    On Linux the time counts from the boot (proc_pid_stat(5), field 22), so changes of the clock do not affect it.
    """
    if ON_LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[0] in {"Z", "X"} else f"{_read_boot_id()}:{int(fields[19]):020}"
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.create_time():020.2f}"
    return ""


def list_session(pid: int, since: str) -> list[int]:
    """Return the living processes of the session that process `pid`, started at `since`, has created.

    The process itself may have ended: the kernel does not reuse its id while its session has members.
    """
    found = []
    for other in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(other) == pid and _is_later_in_same_boot(read_start_id(other), since):
                found.append(other)
    return found


def _is_later_in_same_boot(one: str, since: str) -> bool:
    return one >= since and one.rpartition(":")[0] == since.rpartition(":")[0]


@lru_cache(maxsize=1)
def _read_boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
