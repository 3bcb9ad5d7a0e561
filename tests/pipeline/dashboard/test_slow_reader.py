"""A reader that takes nothing is cut off, holds up nobody, and hears of all it missed when it comes back."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

import pytest
import uvicorn
from cryptography.fernet import Fernet
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from pipeline.api.http.bulkhead import ConcurrencyLimit
from pipeline.api.server.http_protocol import HttpProtocol
from pipeline.dashboard import events
from pipeline.dashboard.live_feed import LiveFeed, Subscriber
from pipeline.store.moves import Reading, Watermark
from pipeline.store.vault import Vault
from tests.pipeline.api.running_server import until

VAULT = Vault(Fernet.generate_key().decode())
SESSION = UUID(int=4)
TOPICS = frozenset(f"post:{UUID(int=n)}" for n in range(events.MAX_TOPICS))


class Server:
    """The real protocol and the real stream, with a feed that always has something to tell."""

    def __init__(self) -> None:
        self.streams = ConcurrencyLimit(2)
        self.open = 0
        self.told = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        subscriber = Subscriber(SESSION, TOPICS, None)
        places = ExitStack()
        places.enter_context(self.streams.slot(SESSION))
        chatter = asyncio.create_task(self._tell(subscriber))
        self.open += 1
        try:
            await events._EventStream(subscriber, LiveFeed(_poll), VAULT, places)(
                Request(scope).scope, receive, send
            )
        finally:
            self.open -= 1
            chatter.cancel()

    async def _tell(self, subscriber: Subscriber) -> None:
        while True:
            subscriber.pending |= TOPICS
            subscriber.hand_over(0)
            self.told += 1
            await asyncio.sleep(0)


async def _poll(_before: Watermark | None, _sessions: Collection[UUID]) -> Reading:
    await asyncio.Event().wait()
    raise AssertionError


@contextmanager
def running(app: Server) -> Iterator[int]:
    config = uvicorn.Config(
        app.app, port=0, http=HttpProtocol, log_config=None, lifespan="off", ws="none", interface="asgi3"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the server to start")
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


def reads_to_the_end(client: socket.socket) -> bool:
    """Read what is left, and return whether that ends as a whole response does."""
    last = b""
    try:
        while part := client.recv(1 << 20):
            last = part
    except ConnectionResetError:
        return False
    return last.endswith(b"0\r\n\r\n")


def test_a_reader_that_takes_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "SLOW_SECONDS", 0.5)
    app = Server()
    with (
        caplog.at_level(logging.INFO),
        running(app) as port,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.sendall(b"GET /dashboard/events HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: app.open == 1, "the stream to begin")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        until(lambda: app.open == 0, "the stream to be cut off", 60)
        assert app.streams._count == 0
        assert not reads_to_the_end(client), "it is not taken for whole"
    assert app.told > 0
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
