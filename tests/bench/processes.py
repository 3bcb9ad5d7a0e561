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
class CpuReading:
    """CPU seconds by part at a time of the monotonic clock."""

    at: float
    cpu: Mapping[str, float]

    @classmethod
    def of(cls, parts: Mapping[str, int]) -> Self:
        """Read the parts now."""
        return cls(at=time.monotonic(), cpu={name: cpu_seconds(pid) for name, pid in parts.items()})

    def spent(self, until: CpuReading) -> dict[str, float]:
        """Return the CPU seconds by part until a later reading."""
        return {name: until.cpu[name] - was for name, was in self.cpu.items()}


def await_idle(pid: int, limit: float = 20.0) -> None:
    """Wait until a process and its descendants have started: they use under a twentieth of a core."""
    end, part = time.monotonic() + limit, {"it": pid}
    while time.monotonic() < end:
        first = CpuReading.of(part)
        time.sleep(0.4)  # a duration to measure, not a wait for a condition
        then = CpuReading.of(part)
        if first.spent(then)["it"] <= 0.05 * (then.at - first.at):
            return
