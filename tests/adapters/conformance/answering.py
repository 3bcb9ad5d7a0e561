"""A server that answers every request with what it was told: what a platform may say to the visible call."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from adapters.contract import FinalizeResult
from adapters.http import HttpClient
from tests.adapters.conformance.walk import Walk


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One answer; ``body`` is JSON, or bytes as they are."""

    status: int
    body: Any = b""

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Answering(ThreadingHTTPServer):
    """One thread a request; ``said`` is the answer to all of them."""

    daemon_threads = True
    said = Said(status=500)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answering

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = self.server.said
        self.send_response(said.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said.raw)))
        self.end_headers()
        self.wfile.write(said.raw)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names are http.server's

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def answering() -> Iterator[Answering]:
    """The server, gone afterwards."""
    server = Answering(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(walk: Walk, server: Answering, said: Said) -> FinalizeResult:
    """The visible call of a prepared walk, made to the server instead; raises what the adapter makes of the answer."""
    server.said = said
    settings = walk.ground.settings(walk.subject)
    hosts = {name: url.replace(walk.ground.base, server.base) for name, url in settings.hosts.items()}
    checkpoint = json.loads(json.dumps(walk.stored).replace(walk.ground.base, server.base))
    adapter = walk.ground.adapters[walk.subject.platform](HttpClient(), replace(settings, hosts=hosts))
    return adapter.finalize(walk.draft, walk.account, checkpoint)
