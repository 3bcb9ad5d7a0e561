"""One HTTP/1.1 connection: uvicorn's own, with what it has no setting for: a bounded head, and our words for bad HTTP.

uvicorn bounds the wait between two requests, and nothing of a request's arrival (0.54, read 2026-11-26 in
protocols/http/httptools_impl.py): whoever sends a head byte by byte, or one without end, would hold a connection and
its memory for ever. Bodies are bounded by ``body.py``.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.api.http.envelope import failure

HEAD_SECONDS = 30.0
"""Longest time from the first byte of a request, or from a new connection, to the end of its head."""
HEAD_BYTES = 65_536
"""What may have arrived of a head that is not complete."""
WHOLE = "slipway.whole"
"""In a request's scope, once all of its body is here: nothing is left to wait for."""
GO_ON = b"HTTP/1.1 100 "
"""What a client with ``Expect: 100-continue`` waits for before it sends its body: no answer yet."""


class Joined:
    """A transport that holds an answer's head back until its body comes: one packet, and one call of the kernel."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """The head is the first that is written, the first part of the body the second."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = None
        elif self._head is None or data.startswith(GO_ON):
            self._transport.write(data)
        else:
            self._head = data

    def flush(self) -> None:
        """Sends a head that no body followed: HEAD has none."""
        if self._head:
            self._transport.write(self._head)
            self._head = None

    def close(self) -> None:
        """After what is still held back."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """What ``slipway api`` has uvicorn use for each connection."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._arriving, self._arrived = True, 0
        self._overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there; the head is awaited from now on."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or several requests."""
        super().data_received(data)
        if not self._arriving:
            self._stop_waiting()
            return
        self._arrived += len(data)
        if self._arrived > HEAD_BYTES:
            self._refuse(431, "headers_too_large", f"The request's head is larger than {HEAD_BYTES:,} bytes.")
        elif self._overdue is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """The parser met the start of a request."""
        super().on_message_begin()
        self._arriving, self._arrived = True, 0

    def on_headers_complete(self) -> None:
        """The parser met the end of a head: from here on the application decides."""
        self._arriving = False
        super().on_headers_complete()
        joined = Joined(self.transport)
        self.cycle.transport = cast("asyncio.Transport", joined)
        self.cycle.on_response = partial(self._answered, joined)

    def on_message_complete(self) -> None:
        """The parser met the end of a body."""
        super().on_message_complete()
        self.scope[WHOLE] = True  # type: ignore[literal-required]  # ours

    def _answered(self, joined: Joined) -> None:
        joined.flush()
        self.on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the server's own words
        """What the parser cannot read."""
        self._refuse(400, "bad_request", "The request is no HTTP that can be read.")

    def _await_head(self) -> None:
        self._overdue = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _too_slow(self) -> None:
        self._overdue = None
        self._refuse(
            408, "request_timeout", f"The request's head did not arrive within {HEAD_SECONDS:.0f} seconds."
        )

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answers without an application, and closes: what follows on this connection has lost its meaning."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        answer = failure(
            status, code, message, headers={"X-Request-Id": os.urandom(16).hex(), "Connection": "close"}
        )
        head = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        self.transport.write(line + head + b"\r\n" + bytes(answer.body))
        self.transport.close()
