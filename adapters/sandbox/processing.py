"""What platforms do after they said yes: fetch, check, take their time, and then show the post or fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """How one kind of record is worked on. A record in work has `key`, `done_at` (Unix seconds), maybe `stuck`."""

    is_pending: Callable[[Record], bool]
    """Whether the record still waits for its end; asked again right before `conclude`."""
    examine: Callable[[Record], Awaitable[Any]]
    """Fetch and check the media; may be repeated after a kill."""
    conclude: Callable[[Record, Any], None]
    """Set the end, with what `examine` returned. Must not await."""


class Processing:
    """Runs the work of all platforms, and takes it up again after a restart."""

    def __init__(self, context: SandboxContext) -> None:
        """Work on the records of `context`."""
        self._context = context
        self._works: dict[str, Processor] = {}
        self._running: set[asyncio.Task[None]] = set()

    def define(self, kind: str, make_processor: Processor) -> None:
        """Say how records of `kind` are worked on."""
        self._works[kind] = make_processor

    async def start(self, kind: str, record: Record) -> None:
        """Start on a record; at instant pace return when it is done."""
        record["done_at"] = self._context.clock.now() + (
            0.0 if self._context.instant else self._context.settings.processing_s
        )
        if (stuck := record.get("stuck")) and self._context.faults.is_set(stuck):
            return
        record.pop("stuck", None)  # its fault was cleared before there was anything to be stuck
        if self._context.instant:
            await self._work(kind, record)
        else:
            self._spawn(kind, record)

    def resume(self) -> None:
        """Start again on everything that a kill has interrupted."""
        for kind, make_processor in self._works.items():
            for record in self._context.store.get_all(kind).values():
                if "done_at" in record and make_processor.is_pending(record) and not record.get("stuck"):
                    self._spawn(kind, record)
        self._spawn_unstuck()

    async def resume_stuck(self) -> None:
        """Go on with what was stuck on a fault that is cleared now; at instant pace return when it is done."""
        tasks = self._spawn_unstuck()
        if self._context.instant:
            await asyncio.gather(*tasks)

    def _spawn_unstuck(self) -> list[asyncio.Task[None]]:
        found = []
        for kind, make_processor in self._works.items():
            for record in list(self._context.store.get_all(kind).values()):
                stuck = record.get("stuck")
                if stuck is None or self._context.faults.is_set(stuck):
                    continue
                del record["stuck"]
                self._context.store.put(kind, record["key"], record)
                if "done_at" in record and make_processor.is_pending(record):
                    found.append(self._spawn(kind, record))
        return found

    async def stop(self) -> None:
        """Drop all work; a restart takes it up again."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _spawn(self, kind: str, record: Record) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._work(kind, record))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _work(self, kind: str, record: Record) -> None:
        make_processor = self._works[kind]
        outcome = await make_processor.examine(record)
        await self._context.clock.sleep_until(record["done_at"])
        if make_processor.is_pending(record):
            make_processor.conclude(record, outcome)
            await self._context.commit()
