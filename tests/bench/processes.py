"""CPU time and memory of processes with all their children, read from the kernel."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psutil

MIB = 1024 * 1024


def list_tree(pid: int) -> list[psutil.Process]:
    """A process and all that descend from it."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, those that ended and were waited for included."""
    total = 0.0
    for process in list_tree(pid):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, and both of children that ended
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes. ``pss`` counts a page that n processes share as an nth for each; ``rss`` counts it n times."""

    pss: int
    rss: int


def memory(pid: int) -> Memory:
    """Memory of a process and its descendants."""
    pss = rss = 0
    for process in list_tree(pid):
        with suppress(psutil.NoSuchProcess):
            found = process.memory_full_info()
            pss += found.pss
            rss += found.rss
    return Memory(pss=pss, rss=rss)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """CPU seconds by part, at a moment of the monotonic clock."""

    at: float
    cpu: Mapping[str, float]

    @classmethod
    def of(cls, parts: Mapping[str, int]) -> Self:
        """Reads the parts now."""
        return cls(at=time.monotonic(), cpu={name: cpu_seconds(pid) for name, pid in parts.items()})

    def spent(self, until: Reading, idle: Mapping[str, float] | None = None) -> dict[str, float]:
        """CPU seconds by part from here to another reading, less what they would have used idle (cores)."""
        seconds = until.at - self.at
        idle = idle or {}
        return {name: until.cpu[name] - was - idle.get(name, 0.0) * seconds for name, was in self.cpu.items()}

    def cores(self, until: Reading) -> dict[str, float]:
        """Cores used by part between here and another reading."""
        return {name: used / (until.at - self.at) for name, used in self.spent(until).items()}


def measure_cores(parts: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Cores used by part over the next seconds."""
    first = Reading.of(parts)
    time.sleep(seconds)  # the duration is what is measured, not a wait for something
    return first.cores(Reading.of(parts))


def await_idle(pid: int, limit: float = 20.0) -> None:
    """Waits until a tree of processes has finished starting: it uses under a twentieth of a core."""
    end = time.monotonic() + limit
    while time.monotonic() < end and measure_cores({"it": pid}, 0.4)["it"] > 0.05:
        pass
