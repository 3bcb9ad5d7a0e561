"""The outermost layer: a request id on every answer, no exception past it, and bodies read to the end."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.envelope import unforeseen

log = logging.getLogger("slipway.api")

REQUEST_ID = "X-Request-Id"
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
        except Exception:
            log.exception("request %s failed: %s %r", exchange.id, scope["method"], scope["path"])
            if exchange.started:
                raise  # half an answer is out: only the broken connection can still say so
            await unforeseen(scope["method"], scope["path"])(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer, on their way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.id = _request_id(headers.get(REQUEST_ID))
        self.started = False
        self._unread = _has_body(headers)
        self._http_1 = scope["http_version"].startswith("1")  # HTTP/2 closes streams, not connections
        self._receive, self._send = receive, send

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.id
            await self._drain()
            if self._unread and self._http_1:
                headers["Connection"] = "close"
            self.started = True
        await self._send(message)

    async def _drain(self) -> None:
        read = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._unread and read < DRAIN_BYTES:
                    read += len((await self.receive()).get("body", b""))
        except TimeoutError:
            log.info("request %s: its body came too slowly and was cut off", self.id)


def _request_id(given: str | None) -> str:
    return given if given and _SANE.fullmatch(given) else uuid.uuid4().hex


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
