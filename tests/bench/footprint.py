"""Measure memory and idle CPU of all processes of `slipway up`. Reference: the two engines of this run alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.settings import PREFIX
from tests.bench.environment import ROOT, BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement
from tests.bench.processes import MIB, CpuReading, list_tree
from tests.conftest import free_ports
from tests.stack import until

SETTLE, LOOK = 10.0, 30.0
"""Seconds until it is idle, and for which its CPU is measured."""
START = 90.0
STOP = 60.0
AGAINST = "PostgreSQL and Valkey alone, idle"
ALL = "everything"


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


def measure_cores(parts: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Measure the cores used by part over the next *seconds*."""
    first = CpuReading.of(parts)
    time.sleep(seconds)  # a duration to measure, not a wait for a condition
    then = CpuReading.of(parts)
    return {name: used / (then.at - first.at) for name, used in first.spent(then).items()}


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Start `slipway up` in a new folder on free ports, let it idle, then read each part."""
    engines = {
        name: child.pid
        for name, child in (
            ("pg", environment.engines.postgres.child),
            ("vk", environment.engines.valkey.child),
        )
        if child is not None
    }
    bare = [memory(pid) for pid in engines.values()]
    bare_cpu = measure_cores(engines, SETTLE)
    with _up() as (up, folder):
        environment.log("  `slipway up` runs; idling")
        time.sleep(SETTLE)  # the first sweeps are over: the measured system is idle
        parts = _parts(up, folder)
        cpu = measure_cores(parts, LOOK)
        held = {name: memory(pid) for name, pid in parts.items()}
        processes = len(list_tree(up))
    pss = {name: found.pss / MIB for name, found in held.items()}
    rss = {name: found.rss / MIB for name, found in held.items()}
    busy = {name: cores * 100 for name, cores in cpu.items()}
    yield Figure(
        name="footprint, memory (PSS)",
        value=pss[ALL],
        unit="MiB",
        against=AGAINST,
        reference=sum(b.pss for b in bare) / MIB,
        detail=f"{processes} processes: {_by_part(pss, 0)}",
    )
    yield Figure(
        name="footprint, memory (RSS)",
        value=rss[ALL],
        unit="MiB",
        against=AGAINST,
        reference=sum(b.rss for b in bare) / MIB,
        detail="a page that n processes share is counted n times",
    )
    yield Figure(
        name="footprint, idle CPU",
        value=busy[ALL],
        unit="% of a core",
        against=AGAINST,
        reference=sum(bare_cpu.values()) * 100,
        detail=_by_part(busy, 2),
    )


def _by_part(values: Mapping[str, float], digits: int) -> str:
    """List the parts, largest first; the supervisor is the total less its parts."""
    parts = {name: value for name, value in values.items() if name != ALL}
    parts["supervisor"] = values[ALL] - sum(parts.values())
    return ", ".join(f"{n} {v:.{digits}f}" for n, v in sorted(parts.items(), key=lambda x: -x[1]))


@contextmanager
def _up() -> Iterator[tuple[int, Path]]:
    """Run `slipway up --json`; yield its process id and folder. Raises InvalidMeasurement if a process is left."""
    with tempfile.TemporaryDirectory(prefix="slipway-up-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            up = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", "up", "--json"],
                env=_environment(folder),
                stdout=out,
                stderr=err,
                cwd=ROOT,
                start_new_session=True,
            )
            started: list[int] = []
            try:
                until(lambda: _is_up(up, folder) or None, START, lambda: _read_errors(folder))
                started = [process.pid for process in list_tree(up.pid)]
                yield up.pid, folder / "data"
            finally:
                if up.poll() is None:
                    up.send_signal(signal.SIGINT)
                up.wait(STOP)
        if left := [pid for pid in started if list_tree(pid)]:
            raise InvalidMeasurement(f"`slipway up` ended and left processes running: {left}")


def _environment(folder: Path) -> dict[str, str]:
    api, flower, sandbox, media = free_ports(4)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return clean | {
        "SLIPWAY_FOLDER": str(folder / "data"),
        "SLIPWAY_API__PORT": str(api),
        "SLIPWAY_FLOWER__PORT": str(flower),
        "SLIPWAY_SANDBOX__URL": f"http://127.0.0.1:{sandbox}",
        "SLIPWAY_SANDBOX__MEDIA_URL": f"http://127.0.0.1:{media}",
    }


def _is_up(up: subprocess.Popen[bytes], folder: Path) -> bool:
    """Return whether its summary is printed: everything runs."""
    if up.poll() is not None:
        raise InvalidMeasurement(f"`slipway up` ended with status {up.returncode}: {_read_errors(folder)}")
    return (folder / "out").read_bytes().endswith(b"\n")


def _read_errors(folder: Path) -> str:
    return (folder / "err").read_text(errors="replace")[-600:]


def _parts(up: int, folder: Path) -> dict[str, int]:
    """Return name -> process id, from the supervisor's run files, plus the supervisor as ``ALL``."""
    notes = sorted((folder / "run").glob("*.json"))
    return {note.stem: int(json.loads(note.read_text())["pid"]) for note in notes} | {ALL: up}
