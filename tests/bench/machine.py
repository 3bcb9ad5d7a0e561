"""Describe the machine of a run, and the CPU that other programs used."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

import psutil

from tests.bench.environment import DURABLE, BenchEnvironment
from tests.bench.processes import cpu_seconds

BUSY = 1.0
PACKAGES = ("celery", "kombu", "uvicorn", "uvloop", "fastapi", "psycopg", "sqlalchemy")


def machine(environment: BenchEnvironment) -> dict[str, str]:
    """Return cores, memory, versions and durability settings."""
    with environment.engines.postgres.connect() as c:
        said = [
            f"{name} {c.execute(f'SHOW {name}').fetchall()[0][0]}" for name in ("server_version", *DURABLE)
        ]
    client = environment.engines.valkey.client()
    valkey = client.info("server")
    client.close()
    return {
        "cores": f"{os.cpu_count()} ({_processor()})",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": ", ".join(said).removeprefix("server_version "),
        "file system": _disk(environment),
        "valkey": str(valkey.get("valkey_version", valkey.get("redis_version"))),
    } | {name: version(name) for name in PACKAGES}


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuUsage:
    """CPU seconds of the machine and of this run at a moment; the difference is what other programs used."""

    at: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        """Read both now."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted as user time, too
        return cls(at=time.monotonic(), busy=sum(times) - idle - guests, ours=cpu_seconds(os.getpid()))

    def since(self, earlier: CpuUsage) -> float:
        """Return the cores that other programs used since then (with the host's steal time, if reported)."""
        return max(0.0, (self.busy - earlier.busy - self.ours + earlier.ours) / (self.at - earlier.at))


def warning(load_at_start: float) -> str:
    """Return a warning if the machine is busy, else an empty string."""
    if load_at_start <= BUSY:
        return ""
    return f"WARNING: load was {load_at_start:.2f} at the start. Other programs run: figures are too low."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _disk(environment: BenchEnvironment) -> str:
    folder = environment.engines.folder.resolve()
    mounts = [m for m in psutil.disk_partitions(all=True) if folder.is_relative_to(m.mountpoint)]
    return max(mounts, key=lambda m: len(m.mountpoint)).fstype if mounts else "unknown"
