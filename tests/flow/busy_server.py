"""A server that refuses every request with 429, and says first a second and then a day as its Retry-After."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSAL = {
    "ok": False,
    "code": 429,
    "message": "The key has had its posts of today.",
    "error_code": "rate_limited",
    "help": "http://127.0.0.1/reference#rate_limited",
}


@dataclass(frozen=True, kw_only=True)
class BusyServer:
    """Where it is, and what it asked each request to wait for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving_refusals() -> Iterator[BusyServer]:
    """Run the server while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            busy.asked.append("86400" if busy.asked else "1")
            content = json.dumps(REFUSAL).encode()
            self.send_response(429)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Retry-After", busy.asked[-1])
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    busy = BusyServer(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield busy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
