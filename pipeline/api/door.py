"""The door that several processes stand behind: who has let one in lets the others go first, so they share evenly.

There is one queue of new connections, and uvloop's own server empties it as soon as it is woken (libuv, uv__server_io;
uvloop 0.23, seen 2026-11-26): of 64 clients that came together all 64 often went to one process, and the other cores
stood still. A queue for each process (SO_REUSEPORT) would let whoever stands before a process that hangs wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvloop

log = logging.getLogger("slipway.api")

AFTER_YOU = 0.001
"""Seconds a process steps back for once it has let one in. Where nobody else comes forward, it takes the next one."""
FULL = 1.0
"""The same once the system could not give it a connection: there is no file left, or no memory."""

Factory = Callable[[], Any]
"""Makes the protocol of a connection: uvicorn's, which can be told to go (``shutdown``)."""


class Loop(uvloop.Loop):
    """The event loop whose servers are doors, where they are given a socket that others may have as well."""

    async def create_server(self, protocol_factory: Factory, *given: Any, **more: Any) -> Any:
        """As the loop's own, which takes it from here where there is no ``sock``."""
        if more.get("sock") is None:
            return await super().create_server(protocol_factory, *given, **more)
        return Door(self, protocol_factory, more["sock"], more["backlog"])


class Door:
    """One process's side of it: what its server needs of a server of the loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, queue: socket.socket, most: int
    ) -> None:
        """``most``: connections that may stand in the queue."""
        self._loop, self._factory, self._queue = loop, factory, queue
        self._entering: set[asyncio.Task[Any]] = set()
        self._back: asyncio.TimerHandle | None = None
        queue.settimeout(0)
        queue.listen(most)
        self._step_forward()

    def close(self) -> None:
        """Nobody is let in any more."""
        self._loop.remove_reader(self._queue)
        if self._back is not None:
            self._back.cancel()
        self._queue.close()

    def is_serving(self) -> bool:
        """Whether somebody may still come in."""
        return self._queue.fileno() != -1

    async def wait_closed(self) -> None:
        """Until nobody stands on the threshold."""
        await asyncio.gather(*self._entering, return_exceptions=True)

    def _step_forward(self) -> None:
        self._loop.add_reader(self._queue, self._let_in)

    def _step_back(self, seconds: float) -> None:
        self._loop.remove_reader(self._queue)
        self._back = self._loop.call_later(seconds, self._step_forward)

    def _let_in(self) -> None:
        try:
            line, _ = self._queue.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process was faster, or the client has gone
        except OSError as error:
            log.warning("nobody can be let in (%s); tried again in %s s", error, FULL)
            self._step_back(FULL)
            return
        self._step_back(AFTER_YOU)
        entering = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, line))
        self._entering.add(entering)
        entering.add_done_callback(self._entered)

    def _entered(self, entering: asyncio.Task[Any]) -> None:
        self._entering.discard(entering)
        if not self.is_serving() and not entering.cancelled() and entering.exception() is None:
            _, connection = entering.result()
            connection.shutdown()  # it came too late to be told, as those who were inside have been
