"""The real command in a process of its own, as a person or a program calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What a command left."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """Where commands are typed; ``environment`` is theirs."""

    environment: dict[str, str]
    zygote: subprocess.Popen[str]
    folder: Path

    def run(self, *words: str, stdin: str = "", **more: str) -> Ended:
        files = {name: self.folder / name for name in ("stdin", "stdout", "stderr")}
        files["stdin"].write_text(stdin)
        files["stdout"].write_text("")
        files["stderr"].write_text("")
        order = {"words": words, "environment": {**self.environment, **more}, "folder": str(self.folder)}
        assert self.zygote.stdin
        assert self.zygote.stdout
        self.zygote.stdin.write(
            json.dumps({**order, **{name: str(file) for name, file in files.items()}}) + "\n"
        )
        self.zygote.stdin.flush()
        status = int(self.zygote.stdout.readline())
        return Ended(status=status, stdout=files["stdout"].read_text(), stderr=files["stderr"].read_text())

    def text(self, *words: str, **more: str) -> str:
        """What a person reads."""
        ended = self.run(*words, **more)
        assert ended.status == 0, ended
        return ended.stdout

    def json(self, *words: str, **more: str) -> Any:
        """What a program reads."""
        return json.loads(self.text(*words, "--json", **more))

    def refusal(self, *words: str, **more: str) -> str:
        """The one sentence of a command that could not do what it was told."""
        ended = self.run(*words, **more)
        assert (ended.status, ended.stdout) == (1, ""), ended
        assert ended.stderr.startswith("Error: "), ended
        assert ended.stderr.count("\n") == 1, ended
        return ended.stderr


@contextmanager
def zygote() -> Iterator[subprocess.Popen[str]]:
    """What the commands of a test run are forked from."""
    script = [sys.executable, "-m", "tests.pipeline.cli.zygote"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0
