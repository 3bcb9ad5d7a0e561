"""Fault-injecting proxy between our processes and an engine: delay, reset, black hole, lost answers.

One asyncio loop in its own thread; unix or TCP sockets on either side. The faults are those of a network: bytes arrive
late, a connection is reset, nothing passes for a while and then arrives, or a request arrives and its answer is lost.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

Address: TypeAlias = Path | tuple[str, int]
"""A unix socket, or host and port."""
CHUNK = 1 << 16


@dataclass(eq=False, slots=True)
class Link:
    """One proxied connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    swallows: bool = False
    """The server's answers are dropped."""

    def cut(self) -> None:
        """Abort the connection on both sides."""
        for side in (self.client, self.server):
            side.transport.abort()


@dataclass(eq=False)
class Proxy:
    """One listening address and its upstream. Fault methods may be called from any thread and return at once."""

    at: Address
    behind: Address
    chance: random.Random
    loop: asyncio.AbstractEventLoop
    counts: Counter[str] = field(default_factory=Counter)
    """Connections opened, and connections hit by each fault."""
    _links: set[Link] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _delay: float = 0.0
    _server: asyncio.Server | None = None

    def delay(self, seconds: float, lasting: float) -> None:
        """Delay every chunk in both directions by *seconds*, for *lasting* seconds."""
        self._schedule(lambda: self._start_delay(seconds, lasting))

    def cut(self, part: float = 1.0) -> None:
        """Reset this share of the open connections."""
        self._schedule(lambda: self._each("cut", part, Link.cut))

    def black_hole(self, lasting: float) -> None:
        """Hold all traffic for *lasting* seconds, on open and new connections; it arrives afterwards."""
        self._schedule(lambda: self._start_black_hole(lasting))

    def swallow(self, lasting: float, part: float = 1.0) -> None:
        """Drop the answers on this share of the connections, and reset these after *lasting* seconds."""
        self._schedule(lambda: self._start_swallow(lasting, part))

    def count_sent(self, size: int) -> None:
        """Count bytes that go to the engine. A kind of proxy may do something at a number of them."""
        self.counts["sent"] += size

    async def open(self) -> None:
        """Start listening. Raises OSError."""
        self._clear = asyncio.Event()
        self._clear.set()
        if isinstance(self.at, Path):
            self._server = await asyncio.start_unix_server(self._accept, self.at)
        else:
            self._server = await asyncio.start_server(self._accept, *self.at)

    async def close(self) -> None:
        """Stop listening and abort every connection."""
        if self._server is not None:
            self._server.close()
        self._delay = 0.0
        self._clear.set()
        while self._tasks:  # a task ends with its connection
            for link in list(self._links):
                link.cut()
            await asyncio.wait(self._tasks, timeout=0.1)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            inner, outer = await self._connect()
        except OSError:  # the engine is down: the caller's connection ends
            writer.transport.abort()
            return
        link = Link(client=writer, server=outer)
        self._links.add(link)
        self.counts["opened"] += 1
        try:
            await asyncio.gather(
                self._pump(link, reader, outer, back=False), self._pump(link, inner, writer, back=True)
            )
        finally:
            self._links.discard(link)
            link.cut()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.behind, Path):
            return await asyncio.open_unix_connection(self.behind)
        return await asyncio.open_connection(*self.behind)

    async def _pump(
        self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: bool
    ) -> None:
        with suppress(OSError):  # either side has closed: end the connection on both
            while data := await source.read(CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._clear.wait()
                if not back:
                    self.count_sent(len(data))
                if not (back and link.swallows):
                    sink.write(data)
                    await sink.drain()
        link.cut() if sink.is_closing() else sink.close()

    # --- inside the loop ---------------------------------------------------------------------------------------------

    def _schedule(self, what: Callable[[], None]) -> None:
        self.loop.call_soon_threadsafe(what)

    def _each(self, fault: str, part: float, strike: Callable[[Link], None]) -> None:
        injected = [link for link in list(self._links) if self.chance.random() < part]
        self.counts[fault] += len(injected)
        for link in injected:
            strike(link)

    def _start_delay(self, seconds: float, lasting: float) -> None:
        self._delay = seconds
        self.counts["delay"] += 1
        self.loop.call_later(lasting, setattr, self, "_delay", 0.0)

    def _start_black_hole(self, lasting: float) -> None:
        self._clear.clear()
        self.counts["hole"] += len(self._links)
        self.loop.call_later(lasting, self._clear.set)

    def _start_swallow(self, lasting: float, part: float) -> None:
        def strike(link: Link) -> None:
            link.swallows = True
            self.loop.call_later(lasting, link.cut)

        self._each("swallow", part, strike)


P = TypeVar("P", bound=Proxy)


class ProxyServer:
    """The proxies of a run and the thread of their event loop."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._doors: list[Proxy] = []

    def add(self, at: Address, behind: Address) -> Proxy:
        """Start a proxy from *at* to *behind*. Raises OSError."""
        return self.add_kind(Proxy, at, behind)

    def add_kind(self, kind: type[P], at: Address, behind: Address) -> P:
        """Start a proxy of a kind. Raises OSError."""
        proxy = kind(at=at, behind=behind, chance=self._chance, loop=self._loop)
        asyncio.run_coroutine_threadsafe(proxy.open(), self._loop).result(60)
        self._doors.append(proxy)
        return proxy

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self._doors:
            asyncio.run_coroutine_threadsafe(proxy.close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()
