"""The machine line: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.bench.ground import DURABLE, Ground

BUSY = 1.0
PACKAGES = ("celery", "kombu", "granian", "fastapi", "psycopg", "sqlalchemy")


def machine(ground: Ground) -> dict[str, str]:
    """Cores, memory, versions, and that commits wait for the disk."""
    with ground.engines.postgres.connect() as c:
        said = [
            f"{name} {c.execute(f'SHOW {name}').fetchall()[0][0]}" for name in ("server_version", *DURABLE)
        ]
    client = ground.engines.valkey.client()
    valkey = client.info("server")
    client.close()
    return {
        "cores": f"{os.cpu_count()} ({_processor()})",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": ", ".join(said).removeprefix("server_version "),
        "file system": _disk(ground),
        "valkey": str(valkey.get("valkey_version", valkey.get("redis_version"))),
    } | {name: version(name) for name in PACKAGES}


def load() -> float:
    """Processes that wanted a core, on average over the last minute."""
    return os.getloadavg()[0]


def warning(load_at_start: float) -> str:
    """What to say of a machine that does something else besides; empty when it does not."""
    if load_at_start <= BUSY:
        return ""
    return f"WARNING: load was {load_at_start:.2f} at the start. Something else runs here: the figures are too low."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _disk(ground: Ground) -> str:
    folder = ground.engines.folder.resolve()
    mounts = [m for m in psutil.disk_partitions(all=True) if folder.is_relative_to(m.mountpoint)]
    return max(mounts, key=lambda m: len(m.mountpoint)).fstype if mounts else "unknown"
