"""A proxy in front of the API that loses the first answer to each POST: the effect is there, the client gets 503."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import requests

KEY = "Idempotency-Key"


class LosingProxy:
    """A proxy while the block runs. ``keys``: the Idempotency-Key of every POST, by path."""

    def __init__(self, target: str) -> None:
        self.keys: dict[str, list[str | None]] = {}
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "accept-encoding")}
                answer = requests.request(
                    self.command, target + self.path, data=body, headers=kept, timeout=60
                )
                is_lost = self.command == "POST" and self.path not in proxy.keys
                if self.command == "POST":
                    proxy.keys.setdefault(self.path, []).append(self.headers.get(KEY))
                content = b"" if is_lost else answer.content
                self.send_response(503 if is_lost else answer.status_code)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = forward  # noqa: N815  the names that the library calls

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
