"""One HTTP/1.1 connection: uvicorn's protocol, with bounded request heads and error responses in our envelope.

uvicorn limits the time between two requests, but neither the time nor the size of a request's head (0.54, read
2026-11-26 in protocols/http/httptools_impl.py): a client that sends one byte by byte, or without end, would hold a
connection and its memory for ever, and there is no setting for it. ``body.py`` bounds the bodies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.api.http.envelope import failure

HEAD_SECONDS = 30.0
"""Seconds from a new connection, or from the first byte of a later request, to the end of the head."""
HEAD_BYTES = 65_536
"""Maximum size of an incomplete head."""
BODY_COMPLETE = "slipway.body_complete"
"""A key of the ASGI scope, set once the whole body has arrived: reading it needs no timeout then."""
CONNECTION = "slipway.connection"
"""A key of the ASGI scope: the `Connection` of the request."""
CONTINUE = b"HTTP/1.1 100 "
"""The interim response that a client with ``Expect: 100-continue`` awaits before it sends its body."""


class Connection:
    """The connection of a response without an end: its state, and what may be done to it."""

    def __init__(self, abort: Callable[[], None]) -> None:
        """*abort* closes the connection and drops bytes that wait to be sent."""
        self.abort = abort
        self.on_stop: Callable[[], None] | None = None
        """Called when the server begins to stop: it waits for responses to end."""


def find_connection(scope: Scope) -> Connection:
    """Return the connection of a request."""
    return cast("Connection", scope[CONNECTION])


class JoiningTransport:
    """Holds a response's head back until the first part of its body: one packet and one system call for both."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = b""
        """Empty before a response's head is written, None after it."""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write *data*: first the head, then parts of the body."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = None
        elif self._head is None or data.startswith(CONTINUE):
            self._transport.write(data)
        else:
            self._head = data

    def end_response(self) -> None:
        """Write a head that no body followed, as after a HEAD request; the next write begins the next response."""
        if self._head:
            self._transport.write(self._head)
        self._head = b""

    def close(self) -> None:
        """Write the head that is held back, then close."""
        self.end_response()
        self._transport.close()


class HttpProtocol(HttpToolsProtocol):
    """The protocol class that ``serve.py`` passes to uvicorn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaits_head, self._head_bytes = True, 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first head. The responses of a connection are sent one after the other."""
        super().connection_made(transport)
        self._connection, self._responses = Connection(transport.abort), JoiningTransport(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, a part of a request or several, and check the limits of an incomplete head."""
        super().data_received(data)
        if not self._awaits_head:
            self._stop_head_timer()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, "headers_too_large", f"The request's head is larger than {HEAD_BYTES:,} bytes.")
        elif self._head_timer is None:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        """Note the start of a request."""
        super().on_message_begin()
        self._awaits_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Hand the request to the application, whose limits apply from here on."""
        self._awaits_head = False
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]  # not a key of ASGI
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", self._responses)
        self.cycle.on_response = self._complete_response

    def on_message_complete(self) -> None:
        """Mark the body as complete."""
        super().on_message_complete()
        self.scope[BODY_COMPLETE] = True  # type: ignore[literal-required]  # not a key of ASGI

    def _complete_response(self) -> None:
        self._responses.end_response()
        self.on_response_complete()

    def shutdown(self) -> None:
        """Begin a graceful shutdown, and end event streams."""
        super().shutdown()
        if self._connection.on_stop is not None:
            self._connection.on_stop()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature
        """Refuse what the parser cannot read."""
        self._refuse(400, "bad_request", "The request is not valid HTTP.")

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse_slow_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_slow_head(self) -> None:
        self._head_timer = None
        self._refuse(
            408, "request_timeout", f"The request's head did not arrive within {HEAD_SECONDS:.0f} seconds."
        )

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Respond without the application and close: later bytes of this connection cannot be parsed any more."""
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        response = failure(
            status, code, message, headers={"X-Request-Id": os.urandom(16).hex(), "Connection": "close"}
        )
        head = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
        status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        self.transport.write(status_line + head + b"\r\n" + bytes(response.body))
        self.transport.close()
