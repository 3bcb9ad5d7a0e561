"""The door that several processes stand behind: whoever has fewer connections goes first, so they share evenly.

There is one queue of new connections, and uvloop's own server empties it as soon as it is woken (libuv, uv__server_io;
uvloop 0.23, seen 2026-11-26): of 64 clients that came together all 64 often went to one process, and the other cores
stood still. A queue for each process (SO_REUSEPORT) would let whoever stands before a process that hangs wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import uvloop

from pipeline.api.server.connection_counts import Book

log = logging.getLogger("slipway.api")

BOOK = "_SLIPWAY_DOOR_BOOK"
"""The variable that names the folder of the `Book` to the processes: no setting, so it does not begin like one."""
AFTER_YOU = 0.001
"""Seconds for which a process steps back that has more than another. Then it lets in who is still there."""
TOLD = 0.1
"""Seconds after which it tells the others anew how many it has: some have gone."""
FULL = 1.0
"""Seconds until it tries again, once the system had no connection to give: there is no file left, or no memory."""

Factory = Callable[[], Any]
"""Makes the protocol of a connection: uvicorn's, which knows of the others (``connections``) and can be told to go
(``shutdown``)."""


class Loop(uvloop.Loop):
    """The event loop whose servers are doors, where they are given a socket that others have as well."""

    async def create_server(self, protocol_factory: Factory, *given: Any, **more: Any) -> Any:
        """As the loop's own, which takes it from here where there is no ``sock``."""
        if more.get("sock") is None:
            return await super().create_server(protocol_factory, *given, **more)
        return Door(self, protocol_factory, more["sock"], more["backlog"], Book(Path(os.environ[BOOK])))


class Door:
    """One process's side of it: what its server needs of a server of the loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, queue: socket.socket, most: int, book: Book
    ) -> None:
        """``most``: connections that may stand in the queue."""
        self._loop, self._factory, self._queue, self._book = loop, factory, queue, book
        self._inside: Collection[Any] = ()
        self._entering: set[asyncio.Task[Any]] = set()
        self._back: asyncio.TimerHandle | None = None
        queue.settimeout(0)
        queue.listen(most)
        self._tell()
        self._step_forward()

    def close(self) -> None:
        """Nobody is let in any more."""
        self._loop.remove_reader(self._queue)
        self._telling.cancel()
        if self._back is not None:
            self._back.cancel()
        self._queue.close()
        self._book.close()

    def is_serving(self) -> bool:
        """Whether somebody may still come in."""
        return self._queue.fileno() != -1

    async def wait_closed(self) -> None:
        """Until nobody stands on the threshold."""
        await asyncio.gather(*self._entering, return_exceptions=True)

    def _tell(self) -> None:
        self._book.tell(self._number())
        self._telling = self._loop.call_later(TOLD, self._tell)

    def _number(self) -> int:
        return len(self._inside) + len(self._entering)

    def _step_forward(self) -> None:
        self._loop.add_reader(self._queue, self._look)

    def _step_back(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._queue)
        self._back = self._loop.call_later(seconds, then)

    def _look(self) -> None:
        """Somebody is at the door: all processes are woken."""
        self._book.tell(self._number())
        if self._book.others_have_fewer():
            self._step_back(AFTER_YOU, self._come_back)
        else:
            self._let_in()

    def _come_back(self) -> None:
        self._step_forward()
        self._let_in()

    def _let_in(self) -> None:
        try:
            line, _ = self._queue.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process was faster, or the client has gone
        except OSError as error:
            log.warning("nobody can be let in (%s); tried again in %s s", error, FULL)
            self._step_back(FULL, self._step_forward)
            return
        connection = self._factory()
        self._inside = connection.connections
        entering = self._loop.create_task(self._loop.connect_accepted_socket(lambda: connection, line))
        self._entering.add(entering)
        entering.add_done_callback(self._entered)

    def _entered(self, entering: asyncio.Task[Any]) -> None:
        self._entering.discard(entering)
        if not self.is_serving() and not entering.cancelled() and entering.exception() is None:
            _, connection = entering.result()
            connection.shutdown()  # it came too late to be told, as those who were inside have been
