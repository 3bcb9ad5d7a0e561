"""The real command in a process of its own, as a person or a program calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """Where commands are typed; ``environment`` is theirs."""

    environment: dict[str, str]

    def run(self, *words: str, stdin: str = "", wait: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *words], check=False, capture_output=True, text=True,
            input=stdin, env={**self.environment, **more}, cwd=self.environment["SLIPWAY_FOLDER"], timeout=wait,
        )  # fmt: skip

    def text(self, *words: str, **more: str) -> str:
        """What a person reads."""
        done = self.run(*words, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str, **more: str) -> Any:
        """What a program reads."""
        return json.loads(self.text(*words, "--json", **more))

    def refusal(self, *words: str, **more: str) -> str:
        """The one sentence of a command that could not do what it was told."""
        done = self.run(*words, **more)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr
