"""A real HTTP server on loopback: scripted answers by method and path, and what it was sent."""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from requests.structures import CaseInsensitiveDict


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers once."""

    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    """Read the request, then cut the line without a word."""


DROP = Reply(drop=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return {key: value[0] for key, value in parse_qs(self.body.decode()).items()}

    @property
    def range(self) -> str:
        return self.headers.get("Content-Range", "")


Answering = Callable[[Seen], Reply]


class StandIn:
    """Scripted answers by method and path; the last one of a script is repeated. A script may be a function."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self._replies: defaultdict[tuple[str, str], deque[Reply | Answering]] = defaultdict(deque)
        self.url = ""

    def on(self, method: str, path: str, *replies: Reply | str | Answering) -> None:
        made = [Reply(reply) if isinstance(reply, str) else reply for reply in replies]
        self._replies[method, path] = deque(made)

    def reply(self, seen: Seen) -> Reply:
        with self.lock:
            self.seen.append(seen)
            script = self._replies[seen.method, seen.path]
            if not script:
                return Reply(f"nothing is scripted for {seen.method} {seen.path}", status=418)
            answer = script.popleft() if len(script) > 1 else script[0]
            return answer if isinstance(answer, Reply) else answer(seen)

    def ranges(self) -> list[str]:
        return [seen.range for seen in self.seen if seen.method == "PUT"]

    def calls(self) -> list[str]:
        return [f"{seen.method} {seen.path.removeprefix('/youtube')}" for seen in self.seen]

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        seen = Seen(
            method=self.command,
            path=parts.path,
            query={key: value[0] for key, value in parse_qs(parts.query).items()},
            headers=CaseInsensitiveDict(self.headers.items()),
            body=body,
        )
        reply = self.server.stand_in.reply(seen)
        if reply.drop:
            self.close_connection = True
            with suppress(OSError):  # the other side may have left first
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        payload = reply.body.encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing: the tests look at what was seen."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up in the middle is part of some tests."""


@contextmanager
def running() -> Iterator[StandIn]:
    stand_in = StandIn()
    server = _Server(stand_in)
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
