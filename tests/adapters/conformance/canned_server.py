"""An HTTP server that gives every request the same response, in place of a platform at the visible call."""

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
from tests.adapters.conformance.simulation import DeliverySimulation


@dataclass(frozen=True, kw_only=True, slots=True)
class CannedResponse:
    """One HTTP response; a ``body`` that is not bytes is sent as JSON."""

    status: int
    body: Any = b""

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class CannedServer(ThreadingHTTPServer):
    """Serve ``response`` to every request, each in a thread of its own."""

    daemon_threads = True
    response = CannedResponse(status=500)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CannedServer

    def _respond(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        response = self.server.response
        self.send_response(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response.raw)))
        self.end_headers()
        self.wfile.write(response.raw)

    do_GET = do_POST = do_PUT = _respond  # noqa: N815 - the names are http.server's

    def log_message(self, *_: object) -> None:
        """Suppress the access log."""


@contextmanager
def run_canned_server() -> Iterator[CannedServer]:
    """Run the server on a free port of loopback until the block ends."""
    server = CannedServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def finalize_against(
    simulation: DeliverySimulation, server: CannedServer, response: CannedResponse
) -> FinalizeResult:
    """Send the simulation's visible call to the server; return or raise what the adapter makes of the response."""
    server.response = response
    return finalize_at(simulation, server.base_url)


def finalize_at(simulation: DeliverySimulation, base: str) -> FinalizeResult:
    """Send the simulation's visible call to *base*, where the sandbox is not."""
    settings = simulation.environment.make_settings(simulation.post_case)
    hosts = {name: url.replace(simulation.environment.base, base) for name, url in settings.hosts.items()}
    stored = json.dumps(simulation.stored_checkpoint).replace(simulation.environment.base, base)
    adapter = simulation.environment.adapters[simulation.post_case.platform](
        HttpClient(), replace(settings, hosts=hosts)
    )
    return adapter.finalize(simulation.draft, simulation.account, json.loads(stored))
