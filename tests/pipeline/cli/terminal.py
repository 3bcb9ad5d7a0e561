"""The real command in a process of its own, as a person or a program calls it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fork_server_client import Ended, ForkServer, run


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """Where commands are typed; ``environment`` is theirs."""

    environment: dict[str, str]
    fork_server: ForkServer
    folder: Path

    def run(self, *words: str, stdin: str = "", **more: str) -> Ended:
        environment = {**self.environment, **more}
        return run(self.fork_server, self.folder, environment, stdin, words=words)

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
