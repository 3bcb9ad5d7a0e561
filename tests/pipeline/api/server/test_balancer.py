"""The door of several processes: who has fewer goes first, one that hangs keeps nobody waiting, and shut is shut."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from pipeline.api.server.balancer import BOOK, Door, Loop
from pipeline.api.server.connection_counts import Book
from tests.pipeline.api.server.test_shutdown import api, port  # noqa: F401  fixtures: two processes, as production starts them

CLIENTS = 20
PATIENCE = 20
"""Seconds."""


class CoreFixture:
    """What is behind one door: who is inside."""

    def __init__(self) -> None:
        self.inside: list[Guest] = []
        self.bell: Callable[[], None] = lambda: None
        """Rung while somebody stands on the threshold."""

    def enter(self) -> Guest:
        self.bell()
        return Guest(self.inside)


class Guest(asyncio.Protocol):
    """A connection that knows of the others and can be told to go, as uvicorn's can."""

    transport: asyncio.BaseTransport

    def __init__(self, connections: list[Guest]) -> None:
        self.connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.connections.append(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.connections.remove(self)

    def shutdown(self) -> None:
        self.transport.close()


@pytest.fixture(autouse=True)
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    Book.write(folder, 4)
    monkeypatch.setenv(BOOK, str(folder))
    return folder


@pytest.fixture
def queue() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as it:
        yield it


@contextmanager
def callers(queue: socket.socket, number: int) -> Iterator[list[socket.socket]]:
    """Clients that stand in the queue."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(queue.getsockname(), timeout=PATIENCE))
            for _ in range(number)
        ]


def played(scene: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(asyncio.wait_for(scene, PATIENCE))


@asynccontextmanager
async def opened(queue: socket.socket) -> AsyncIterator[tuple[Door, CoreFixture]]:
    """Everybody is out when it ends: a loop that is closed around them warns, and here that is an error."""
    core = CoreFixture()
    door = await asyncio.get_running_loop().create_server(core.enter, sock=queue.dup(), backlog=100)
    assert isinstance(door, Door)
    try:
        yield door, core
    finally:
        if door.is_serving():
            door.close()
        await door.wait_closed()
        for guest in core.inside:
            guest.shutdown()
        await until_it(lambda: not core.inside)


async def until_it(met: Callable[[], bool]) -> None:
    while not met():  # noqa: ASYNC110  `played` has the deadline
        await asyncio.sleep(0.001)


def test_who_comes_together_is_shared_evenly(queue: socket.socket) -> None:
    async def scene() -> None:
        async with opened(queue) as (_, one), opened(queue) as (_, other):
            await until_it(lambda: len(one.inside) + len(other.inside) == CLIENTS)
            assert abs(len(one.inside) - len(other.inside)) <= 2

    with callers(queue, CLIENTS):
        played(scene())


def test_who_comes_later_goes_where_fewer_are(queue: socket.socket) -> None:
    async def scene() -> None:
        async with opened(queue) as (_, one):
            await until_it(lambda: len(one.inside) == CLIENTS)
            async with opened(queue) as (_, other):
                with callers(queue, CLIENTS):
                    await until_it(lambda: len(one.inside) + len(other.inside) == 2 * CLIENTS)
                    assert len(other.inside) >= CLIENTS * 3 // 4
                await until_it(lambda: not other.inside)

    with callers(queue, CLIENTS):
        played(scene())


def test_the_others_are_told_of_who_has_gone(queue: socket.socket, book: Path) -> None:
    async def scene() -> None:
        watching = Book(book)
        watching.tell(1)
        async with opened(queue) as (_, core):
            with callers(queue, 2):
                await until_it(lambda: len(core.inside) == 2 and not watching.others_have_fewer())
            await until_it(watching.others_have_fewer)
        watching.close()

    played(scene())


def test_a_page_is_one_process_s_and_free_again_after_it(book: Path) -> None:
    mine = [Book(book) for _ in range(4)]
    with pytest.raises(RuntimeError, match="All 4 pages are taken"):
        Book(book)
    for n, copy in enumerate(mine):
        copy.tell(n)
    assert [copy.others_have_fewer() for copy in mine] == [False, True, True, True]
    mine[0].close()
    assert [copy.others_have_fewer() for copy in mine[1:]] == [False, True, True]
    Book(book).close()
    for copy in mine[1:]:
        copy.close()


def test_a_door_alone_lets_everybody_in(queue: socket.socket) -> None:
    async def scene() -> None:
        async with opened(queue) as (_, core):
            await until_it(lambda: len(core.inside) == CLIENTS)

    with callers(queue, CLIENTS):
        played(scene())


def test_who_is_on_the_threshold_when_it_is_shut_is_sent_away_and_who_is_inside_stays(
    queue: socket.socket,
) -> None:
    async def scene() -> None:
        async with opened(queue) as (door, core):
            await until_it(lambda: len(core.inside) == 1 and not door._entering)
            core.bell = door.close
            with callers(queue, 1) as (late,):
                await until_it(lambda: not door.is_serving())
                await door.wait_closed()
                assert await asyncio.to_thread(late.recv, 1) == b""
            assert [guest.transport.is_closing() for guest in core.inside] == [False]

    with callers(queue, 1):
        played(scene())


def test_while_the_system_has_no_connection_to_give_they_wait_and_are_let_in_after(
    queue: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with opened(queue) as (_, core):
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
            try:
                await until_it(lambda: "nobody can be let in" in caplog.text)
                assert not core.inside
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until_it(lambda: len(core.inside) == 1)

    with callers(queue, 1), caplog.at_level(logging.WARNING, "slipway.api"):
        played(scene())


def test_a_process_that_hangs_keeps_nobody_waiting(api: subprocess.Popen[bytes], port: int) -> None:  # noqa: F811
    url = f"http://127.0.0.1:{port}/healthz"
    servers = [p for p in psutil.Process(api.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    assert len(servers) == 2
    for hung in servers:
        hung.send_signal(signal.SIGSTOP)
        try:
            for _ in range(5):
                assert requests.get(url, timeout=PATIENCE, headers={"Connection": "close"}).ok
        finally:
            hung.send_signal(signal.SIGCONT)
