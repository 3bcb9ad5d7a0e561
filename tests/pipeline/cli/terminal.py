"""Runs the real command in its own process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fork_server_client import ForkServer, Result, run


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """Runs commands in ``folder`` with ``environment``."""

    environment: dict[str, str]
    fork_server: ForkServer
    folder: Path

    def run(self, first: str, *words: str, stdin: str = "", **more: str) -> Result:
        """Run a command; *first* holds one or more words, separated by blanks."""
        environment = {**self.environment, **more}
        return run(self.fork_server, self.folder, environment, stdin, words=(*first.split(), *words))

    def text(self, *words: str, **more: str) -> str:
        """Run a command that succeeds; return its standard output."""
        ended = self.run(*words, **more)
        assert ended.status == 0, ended
        return ended.stdout

    def json(self, *words: str, **more: str) -> Any:
        """Run a command with --json; return what it printed, parsed."""
        return json.loads(self.text(*words, "--json", **more))

    def refusal(self, *words: str, **more: str) -> str:
        """Run a command that fails; return the one sentence on standard error."""
        ended = self.run(*words, **more)
        assert (ended.status, ended.stdout) == (1, ""), ended
        assert ended.stderr.startswith("Error: "), ended
        assert ended.stderr.count("\n") == 1, ended
        return ended.stderr
