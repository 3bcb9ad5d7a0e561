"""Starts `slipway up` as a user does: a command in a folder of its own, on free ports, with its output in a file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from config.settings import PREFIX
from pipeline.embedded.process import read_start_id
from tests.conftest import free_ports

MODULE = (sys.executable, "-m", "pipeline.cli")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder and ports for one `slipway up`."""

    folder: Path
    environment: dict[str, str]
    ports: list[int]
    slipway: Sequence[str] = MODULE
    """The command line of `slipway`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of ``Popen``: the user, for example."""

    @property
    def log(self) -> Path:
        """The terminal of `slipway up`."""
        return self.folder / "terminal"


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A started stack: the supervisor, its summary, and every process of it with its start id."""

    process: subprocess.Popen[str]
    summary: dict[str, Any]
    processes: dict[int, str]

    def pid_of(self, name: str) -> int:
        """Return the recorded process id of a service; 0 while its restart pauses."""
        return read_pid(Path(self.summary["folder"]), name)


def read_pid(data: Path, name: str) -> int:
    """Return the recorded process id of a service; 0 if it does not run."""
    record = data / "run" / f"{name}.json"
    try:
        return int(json.loads(record.read_text())["pid"])
    except FileNotFoundError:
        return 0


@contextmanager
def place_in(name: str = "data") -> Iterator[Place]:
    """Yield a place whose data folder has this name; delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="slu-", dir="/tmp"))
    folder.chmod(0o755)
    api, flower, sandbox, media = ports = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
        "SLIPWAY_FOLDER": str(folder / name),
        "SLIPWAY_API__PORT": str(api),
        "SLIPWAY_FLOWER__PORT": str(flower),
        "SLIPWAY_SANDBOX__URL": f"http://127.0.0.1:{sandbox}",
        "SLIPWAY_SANDBOX__MEDIA_URL": f"http://127.0.0.1:{media}",
    }
    yield Place(folder=folder, environment=environment, ports=ports)
    note = folder / name / "run" / "sockets"
    if note.is_file():
        shutil.rmtree(note.read_text())  # the folder under /tmp that `slipway up` keeps for its next start
    shutil.rmtree(folder)


def command(place: Place, *arguments: str, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start `slipway` with these arguments."""
    return subprocess.Popen(
        [*place.slipway, *arguments],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        **place.options,
    )


@contextmanager
def up(place: Place, while_starting: Callable[[], None] = lambda: None) -> Iterator[Running]:
    """Yield a running stack; stop it afterwards in any case. `while_starting` is called before the summary is read."""
    with place.log.open("a") as terminal:
        process = command(place, "up", "--json", stderr=terminal)
    assert process.stdout
    try:
        while_starting()
        first = process.stdout.readline()
        assert first, place.log.read_text()
        processes = {
            child.pid: read_start_id(child.pid)
            for child in psutil.Process(process.pid).children(recursive=True)
        }
        yield Running(process=process, summary=json.loads(first), processes=processes)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()
