"""Asynchronous processing after a request is accepted: fetch and check media, wait, then publish or fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.sandbox.media import describe_file, find_flaw, probe_upload, read_document, read_image

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of examining a post's media."""

    error: Any = None
    """The platform's name of what is wrong; false if the media is good."""
    media: tuple[Record, ...] = ()
    """The media as ledger entries name it."""
    bytes: int = 0
    facts: Any = None
    """Properties of the file: ImageFacts or VideoFacts, None if it is neither."""


def examine_image(data: bytes, rules: Record) -> Outcome:
    """Return the result for the bytes of an image under the rules of a table."""
    facts = read_image(data)
    return Outcome(error=find_flaw(facts, rules), media=(describe_file(facts, len(data)),), facts=facts)


def examine_document(path: Path, rules: Record) -> Outcome:
    """Return the result for an uploaded document under the rules of a table; blocks."""
    facts = read_document(path)
    return Outcome(error=find_flaw(facts, rules), media=(describe_file(facts),), facts=facts)


async def examine_upload(path: Path, rules: Record, size: int | None = None) -> Outcome:
    """Return the result for an uploaded video of `size` bytes under the rules of a table."""
    facts = await probe_upload(path)
    return Outcome(error=find_flaw(facts, rules), media=(describe_file(facts, size),), facts=facts)


async def examine_url(
    context: SandboxContext,
    platform: str,
    url: str,
    most: int,
    rules: Record,
    failed: str,
    *,
    is_video: bool = True,
) -> Outcome:
    """Return the result for the media of at most `most` bytes behind a URL, `failed` if it cannot be fetched."""
    fetched = await context.fetcher.fetch(platform, url, most, is_video=is_video)
    if fetched is None:
        return Outcome(error=failed)
    flaw, media = find_flaw(fetched.facts, rules), (fetched.to_ledger_media(url),)
    return Outcome(error=flaw, media=media, bytes=fetched.bytes, facts=fetched.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A platform's asynchronous task: its states, and what examines and concludes it.

    A record in processing has `key` and `done_at` (Unix seconds), and `stuck` (a fault's id) while a fault holds it.
    """

    kind: str
    """Kind of its records."""
    states: tuple[str, ...]
    """States of a record in processing; checked again right before `conclude`."""
    conclude: Callable[[SandboxContext, Record, Any], None]
    """Change the record to its final state, given the result of `examine`; it is stored after that. Must not await."""
    examine: Callable[[SandboxContext, Record], Awaitable[Any]] | None = None
    """Fetch and check the media; the result is None without it. A restart repeats it."""
    fail: Callable[[str | None], Any] = lambda _: Outcome(error=True)
    """Return the result of `examine` under the fault `fail-processing` with a reason."""


class Processing:
    """Run the tasks of all platforms and resume them after a restart."""

    def __init__(self, context: SandboxContext) -> None:
        """Process the records of `context`."""
        self._context = context
        self._tasks: dict[str, Task] = {}
        self._running: set[asyncio.Task[None]] = set()

    def define(self, task: Task) -> None:
        """Register a platform's task."""
        self._tasks[task.kind] = task

    async def start(self, kind: str, record: Record) -> None:
        """Start processing a record; at instant pace return when it is done."""
        record["done_at"] = self._context.clock.now() + (
            0.0 if self._context.is_instant else self._context.settings.processing_s
        )
        if (stuck := record.get("stuck")) and self._context.faults.is_set(stuck):
            return
        record.pop("stuck", None)  # the fault was cleared before processing started
        if self._context.is_instant:
            await self._process(kind, record)
        else:
            self._spawn(kind, record)

    def resume(self) -> None:
        """Restart everything that a kill interrupted."""
        for kind, record in self._list_records():
            if not record.get("stuck") and self._is_pending(kind, record):
                self._spawn(kind, record)
        self._spawn_stuck()

    def _list_records(self) -> list[tuple[str, Record]]:
        store = self._context.store
        return [(kind, record) for kind in self._tasks for record in store.get_all(kind).values()]

    def _is_pending(self, kind: str, record: Record) -> bool:
        return "done_at" in record and record["state"] in self._tasks[kind].states

    async def resume_stuck(self) -> None:
        """Continue records whose fault is cleared; at instant pace return when they are done."""
        tasks = self._spawn_stuck()
        if self._context.is_instant:
            await asyncio.gather(*tasks)

    def _spawn_stuck(self) -> list[asyncio.Task[None]]:
        tasks = []
        for kind, record in self._list_records():
            stuck = record.get("stuck")
            if stuck is None or self._context.faults.is_set(stuck):
                continue
            del record["stuck"]
            self._context.store.put(kind, record["key"], record)
            if self._is_pending(kind, record):
                tasks.append(self._spawn(kind, record))
        return tasks

    async def stop(self) -> None:
        """Cancel all processing; a restart resumes it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _spawn(self, kind: str, record: Record) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._process(kind, record))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _process(self, kind: str, record: Record) -> None:
        context, task = self._context, self._tasks[kind]
        result = None
        if "fail_reason" in record:
            result = task.fail(record["fail_reason"])
        elif task.examine is not None:
            result = await task.examine(context, record)
        await context.clock.sleep_until(record["done_at"])
        if record["state"] in task.states:
            context.get_upload(record).unlink(missing_ok=True)
            task.conclude(context, record, result)
            context.store.put(kind, record["key"], record)
            await context.commit()
