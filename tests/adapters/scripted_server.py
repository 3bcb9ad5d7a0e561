"""A real HTTP server on loopback that sends scripted responses and records the requests it receives."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests.structures import CaseInsensitiveDict


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted response; ``BASE`` in its body becomes the server's URL."""

    body: str = "{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    """Close the connection after the request was read, without a response."""


DROP = Reply(drop=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedRequest:
    """One recorded request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """Return the body parsed as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def range(self) -> str:
        """The Content-Range header, or an empty string."""
        return self.headers.get("Content-Range", "")


Responder = Callable[[ReceivedRequest], Reply]


class ScriptedServer:
    """Responses by method and path (``on``) or else in order (``enqueue``), and the requests so far."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self._lock = threading.Lock()
        self._queue: deque[Reply] = deque()
        self._scripts: dict[tuple[str, str], deque[Reply | Responder]] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.script = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *replies: Reply | str | Responder) -> None:
        """Script the responses of one path; the last one is repeated. A function computes its response."""
        self._scripts[method, path] = deque(
            Reply(reply) if isinstance(reply, str) else reply for reply in replies
        )

    def enqueue(self, *replies: Reply | str) -> None:
        """Script the responses of the next requests, whatever their path."""
        self._queue += (Reply(reply) if isinstance(reply, str) else reply for reply in replies)

    def respond(self, request: ReceivedRequest) -> Reply:
        """Record the request and return its response."""
        with self._lock:
            self.requests.append(request)
            script = self._scripts.get((request.method, request.path))
            if script is None:
                return self._queue.popleft() if self._queue else Reply("unscripted", status=599)
            reply = script.popleft() if len(script) > 1 else script[0]
            return reply if isinstance(reply, Reply) else reply(request)

    @property
    def unused(self) -> int:
        """The number of enqueued responses that no request has taken."""
        return len(self._queue)

    @property
    def calls(self) -> list[str]:
        """Method and path of every request."""
        return [f"{request.method} {request.path}" for request in self.requests]

    @property
    def paths(self) -> list[str]:
        """The path of every request."""
        return [request.path for request in self.requests]

    @property
    def ranges(self) -> list[str]:
        """The Content-Range of every PUT."""
        return [request.range for request in self.requests if request.method == "PUT"]

    @contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        """Serve in a thread for as long as the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        parts, body = urlsplit(self.path), self.rfile.read(length)
        if len(body) < length:  # the client closed the connection before the end of its request
            self.close_connection = True
            return
        request = ReceivedRequest(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers=CaseInsensitiveDict(self.headers.items()),
            body=body,
        )
        reply = self.server.script.respond(request)
        if reply.drop:
            self.close_connection = True
            with suppress(OSError):  # the client may have closed it already
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        content = reply.body.replace("BASE", self.server.script.url).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _respond  # noqa: N815 - the names that http.server calls

    def log_message(self, *args: object) -> None:
        """Log nothing: tests read ``requests``."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: ScriptedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: a client that closes its connection early is part of some tests."""


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield a base URL where no server listens, for as long as the block lasts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
