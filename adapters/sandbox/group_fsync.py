"""Group commit: the requests of one event loop iteration share one write and one fsync before their responses."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from adapters.sandbox.ledger import Ledger
from adapters.sandbox.store import Store


class GroupCommit:
    """Await `commit()` before a response is sent; it returns at once if nothing changed."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        """Commit the changes of `store` and `ledger`."""
        self._store = store
        self._ledger = ledger
        self._waiting: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-fsync")

    async def __call__(self) -> None:
        """Return once all changes so far are written and the ledger is flushed to disk.

        Raises OSError if writing fails.
        """
        if not self._store.has_changes and not self._ledger.buffered:
            return
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append(done)
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        await done

    async def _write(self) -> None:
        # The task starts in the next loop iteration, so all commits of this one share the write; commits during the
        # fsync share the next.
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._write_once()
            except Exception as error:  # noqa: BLE001 - raised in every waiting commit
                _resolve(waiting, error)
            else:
                _resolve(waiting, None)
        self._writer = None

    async def _write_once(self) -> None:
        entries = self._ledger.take_buffered()
        self._store.write(entries)
        if entries:
            self._ledger.write(entries)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.sync)

    def close(self) -> None:
        """Stop the fsync thread."""
        self._thread.shutdown()


def _resolve(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    for done in waiting:
        if done.done():  # its request was cancelled meanwhile
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
