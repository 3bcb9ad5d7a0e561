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
    """One recorded request."""

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


class GraphServer:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._script: deque[Told] = deque()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Tests read ``asked`` instead."""

            def do_GET(self) -> None:
                outer.answer(self)

            def do_POST(self) -> None:
                outer.answer(self)

            def do_DELETE(self) -> None:
                outer.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def tell(self, *answers: Told | str) -> None:
        self._script.extend(Told(body=told) if isinstance(told, str) else told for told in answers)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        parts = urlsplit(handler.path)
        body = handler.rfile.read(length)
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
        out = told.body.encode()
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
    def running(self) -> Iterator[GraphServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def fault(code: int, subcode: int | None = None, *, transient: bool = False, message: str = "…") -> str:
    """Meta's envelope around one pair, in the shape of the vendor's sample."""
    error = {
        "message": message,
        "type": "OAuthException",
        "code": code,
        **({"error_subcode": subcode} if subcode is not None else {}),
        "is_transient": transient,
        "error_user_title": "…",
        "error_user_msg": "…",
        "fbtrace_id": "A1b2",
    }
    return json.dumps({"error": error})


@contextmanager
def closed_port() -> Iterator[str]:
    """A base URL where nothing listens, for as long as the block lasts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
