"""Read CPU time and memory of processes with all their descendants."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psutil

MIB = 1024 * 1024


def list_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; none if it has ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and its descendants, including reaped ones."""
    total = 0.0
    for process in list_tree(pid):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, and both of reaped children
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes. ``pss`` counts a page that n processes share as an nth for each; ``rss`` counts it n times."""

    pss: int
    rss: int


def memory(pid: int) -> Memory:
    """Return the memory of a process and its descendants."""
    pss = rss = 0
    for process in list_tree(pid):
        with suppress(psutil.NoSuchProcess):
            found = process.memory_full_info()
            pss += found.pss
            rss += found.rss
    return Memory(pss=pss, rss=rss)


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuReading:
    """CPU seconds by part at a time of the monotonic clock."""

    at: float
    cpu: Mapping[str, float]

    @classmethod
    def of(cls, parts: Mapping[str, int]) -> Self:
        """Read the parts now."""
        return cls(at=time.monotonic(), cpu={name: cpu_seconds(pid) for name, pid in parts.items()})

    def spent(self, until: CpuReading, idle: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the CPU seconds by part until a later reading, less their idle use. *idle*: cores by part."""
        seconds = until.at - self.at
        idle = idle or {}
        return {name: until.cpu[name] - was - idle.get(name, 0.0) * seconds for name, was in self.cpu.items()}

    def cores(self, until: CpuReading) -> dict[str, float]:
        """Return the cores used by part until a later reading."""
        return {name: used / (until.at - self.at) for name, used in self.spent(until).items()}


def measure_cores(parts: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Measure the cores used by part over the next *seconds*."""
    first = CpuReading.of(parts)
    time.sleep(seconds)  # a duration to measure, not a wait for a condition
    return first.cores(CpuReading.of(parts))


def await_idle(pid: int, limit: float = 20.0) -> None:
    """Wait until a process and its descendants have started: they use under a twentieth of a core."""
    end = time.monotonic() + limit
    while time.monotonic() < end and measure_cores({"it": pid}, 0.4)["it"] > 0.05:
        pass
