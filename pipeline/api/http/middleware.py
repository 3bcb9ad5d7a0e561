"""The outermost layer: a request id on every answer, no exception past it, and bodies read to the end."""

from __future__ import annotations

import asyncio
import logging
import os
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.http.envelope import stopping, unforeseen

log = logging.getLogger("slipway.api")

_ID = b"x-request-id"
DRAIN_BYTES = 16 * 1024**2
"""Unread body that is read and thrown away before a refusal is sent: a client that is still sending would otherwise
see its connection reset instead of the answer. Larger bodies are cut off."""
DRAIN_SECONDS = 5.0

_SANE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}", re.ASCII)


class Edge:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands one request in and its answer out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # only a server that stops cancels: its time is over
            if not exchange.started:
                await stopping()(scope, exchange.receive, exchange.send)
            raise
        except Exception:
            log.exception("request %s failed: %s %r", exchange.id, scope["method"], scope["path"])
            if exchange.started:
                raise  # half an answer is out: only the broken connection can still say so
            await unforeseen(scope["method"], scope["path"])(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer, on their way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # names come in lower case (ASGI 3.0, HTTP connection scope)
        found = dict(scope["headers"])
        self.id = _request_id(found.get(_ID))
        self.started = False
        self._unread = found.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in found
        self._http_1 = scope["http_version"].startswith("1")  # HTTP/2 closes streams, not connections
        self._receive, self._send = receive, send

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (_ID, self.id.encode())]
            if self._unread and not await self._drained() and self._http_1:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
            self.started = True
        await self._send(message)

    async def _drained(self) -> bool:
        """Reads what is left of the body, up to a point; whether that was all."""
        read = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._unread and read < DRAIN_BYTES:
                    read += len((await self.receive()).get("body", b""))
        except TimeoutError:
            log.info("request %s: its body came too slowly and was cut off", self.id)
        return not self._unread


def _request_id(given: bytes | None) -> str:
    name = given.decode("latin-1") if given else ""
    return name if _SANE.fullmatch(name) else os.urandom(16).hex()
