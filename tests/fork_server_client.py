"""Start processes in a few milliseconds each by forking ``tests/fork_server.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ForkServer = subprocess.Popen[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Exit status and output of a forked process."""

    status: int
    stdout: str
    stderr: str


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """Start the fork server; stop it afterwards."""
    script = [sys.executable, "-m", "tests.fork_server"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(120) == 0


def run(
    process: ForkServer, folder: Path, environment: Mapping[str, str], stdin: str = "", **order: Any
) -> Result:
    """Run one order and wait for it. *order*: ``words`` of the CLI, or a ``call`` of ``tests.crash_tasks``."""
    files = {name: folder / name for name in ("stdin", "stdout", "stderr")}
    files["stdin"].write_text(stdin)
    files["stdout"].write_text("")
    files["stderr"].write_text("")
    order |= {"environment": dict(environment), "folder": str(folder)}
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(order | {name: str(file) for name, file in files.items()}) + "\n")
    process.stdin.flush()
    status = int(process.stdout.readline())
    return Result(status=status, stdout=files["stdout"].read_text(), stderr=files["stderr"].read_text())
