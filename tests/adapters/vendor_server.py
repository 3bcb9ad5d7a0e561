"""A small real HTTP server that answers what a test scripted, in order, and records what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One recorded request; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One scripted answer; ``drop`` hangs up after the request was read."""

    body: str = "{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


DROP = Told(drop=True)


class VendorServer:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._script: deque[Told] = deque()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Tests read ``asked`` instead."""

            def _any(self) -> None:
                outer.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the names http.server calls

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up in the middle is part of some tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def tell(self, *answers: Told | str) -> None:
        """Answers for the next requests; ``BASE`` in a body becomes this server's address."""
        for told in answers:
            self._script.append(Told(body=told) if isinstance(told, str) else told)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        parts = urlsplit(handler.path)
        body = handler.rfile.read(length)
        if len(body) < length:
            handler.close_connection = True
            return
        self.asked.append(
            Asked(
                method=handler.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query)),
                headers={name.lower(): value for name, value in handler.headers.items()},
                body=body,
            )
        )
        told = self._script.popleft() if self._script else Told(status=599, body="unscripted")
        if told.drop:
            handler.close_connection = True  # the line goes down without a byte of answer
            return
        out = told.body.replace("BASE", self.base).encode()
        handler.send_response(told.status)
        for name, value in told.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(out)))
        handler.end_headers()
        handler.wfile.write(out)

    @property
    def calls(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    @property
    def unused(self) -> int:
        return len(self._script)

    @contextmanager
    def running(self) -> Iterator[VendorServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextmanager
def closed_port() -> Iterator[str]:
    """A base URL where nothing listens, for as long as the block lasts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
