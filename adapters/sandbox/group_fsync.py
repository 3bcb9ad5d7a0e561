"""Puts what changed on disk before it is answered: all requests of a loop tick share one write and one fsync."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.sandbox.ledger import Ledger
    from adapters.sandbox.store import Store


class GroupCommit:
    """Await `commit()` before an answer leaves; it returns at once when nothing waits to be written."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        """Write `store` to its journal and `ledger` to its file."""
        self._store = store
        self._ledger = ledger
        self._waiting: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-fsync")

    async def __call__(self) -> None:
        """Return when everything changed so far is written, and the ledger flushed to the disk.

        Raises OSError when the disk refuses.
        """
        if not self._store.changed and not self._ledger.buffered:
            return
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append(done)
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        await done

    async def _write(self) -> None:
        # Started in the next tick, so everybody who commits in this one shares the write; who comes during the
        # fsync shares the next.
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._write_once()
            except Exception as error:  # noqa: BLE001 - whoever waits gets it; nobody may wait for ever
                _settle(waiting, error)
            else:
                _settle(waiting, None)
        self._writer = None

    async def _write_once(self) -> None:
        entries = self._ledger.take()
        self._store.write(entries)
        if entries:
            self._ledger.write(entries)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.sync)

    def close(self) -> None:
        """Stop the thread that flushes."""
        self._thread.shutdown()


def _settle(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    for done in waiting:
        if done.done():  # its request was cut meanwhile
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
