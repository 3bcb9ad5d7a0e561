"""Measure a worker's memory while it uploads large videos to platforms that take bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.bench.environment import BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement
from tests.bench.processes import MIB
from tests.bench.scale import FULL
from tests.bench.stream_servers import digest

ROOT = Path(__file__).parents[2]
PLATFORMS = ("youtube", "tiktok")
LARGE, SMALL = 1 << 30, 200_000_000
MOST = 64 * MIB
"""Bytes by which the process's resident memory may rise."""
LONGEST = 200.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Streamed:
    """One upload. Bytes and seconds; ``rise`` is the highest resident memory less that before."""

    platform: str
    size: int
    rise: int
    before: int
    written: int
    """Bytes that the uploading process wrote to storage."""
    seconds: float
    files: tuple[str, ...]
    """Files on disk that were open between two steps."""


def stream(platform: str, size: int) -> Streamed:
    """Upload a video of this size to a sink. Raises InvalidMeasurement unless all bytes arrive unchanged."""
    with ExitStack() as stack:
        source, sink = (stack.enter_context(_end(name)) for name in ("source", "sink"))
        line = [sys.executable, "-m", "tests.bench.stream_worker", platform, source, sink, str(size)]
        ran = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, timeout=LONGEST, check=True)
        got = requests.get(f"{sink}/taken", timeout=10).json()
    if got != {"bytes": size, "sha256": digest(size)}:
        raise InvalidMeasurement(f"{platform} got {got}, not the {size} bytes that were sent.")
    found = json.loads(ran.stdout)
    return Streamed(
        platform=platform,
        size=size,
        rise=found["most"] - found["before"],
        before=found["before"],
        written=found["written"],
        seconds=found["seconds"],
        files=tuple(found["files"]),
    )


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure each platform that takes a video in chunks."""
    for platform in PLATFORMS:
        yield figure(stream(platform, LARGE if environment.scale is FULL else SMALL))


def figure(found: Streamed) -> Figure:
    """Return the result as a figure."""
    rate = found.size / found.seconds / MIB
    return Figure(
        name=f"streams, {found.size / MIB:.0f} MiB to {found.platform}: memory rises by",
        value=found.rise / MIB,
        unit="MiB",
        target=f"at most {MOST / MIB:.0f} MiB",
        detail=f"from {found.before / MIB:.0f} MiB; {rate:.0f} MiB/s; {found.written} bytes written to disk",
    )


@contextmanager
def _end(name: str) -> Iterator[str]:
    """Run a server as a process of its own, so that the measured process contains the upload alone."""
    line = [sys.executable, "-m", "tests.bench.stream_servers", name]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()
