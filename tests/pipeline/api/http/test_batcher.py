"""Items submitted together are one batch, each gets its own result, and a single item does not wait for others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.api.http.batcher import Batcher


@dataclass(kw_only=True)
class Work:
    """Doubles numbers. 0 makes it wait for *release*; 13 makes it fail."""

    release: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        if 0 in batch:
            self.began.set()
            assert self.release.wait(30)
        if 13 in batch:
            raise ZeroDivisionError
        return [2 * n for n in batch]


def scene(play: Callable[[Batcher[int, int], Work], Awaitable[None]], max_batch: int = 100) -> Work:
    work = Work()

    async def run() -> None:
        batcher = Batcher("test", work, max_batch=max_batch)
        await play(batcher, work)
        await asyncio.to_thread(batcher.close)

    asyncio.run(run())
    return work


async def submit_behind_first(batcher: Batcher[int, int], work: Work, *more: int) -> list[asyncio.Task[int]]:
    """Submit an item that is being processed, and more that wait behind it."""
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.to_thread(work.began.wait, 30)
    rest = [asyncio.create_task(batcher.submit(n)) for n in more]
    await asyncio.sleep(0)  # they have submitted
    return [first, *rest]


def test_who_comes_alone_is_answered_at_once() -> None:
    async def play(batcher: Batcher[int, int], _work: Work) -> None:
        assert [await batcher.submit(n) for n in (1, 2)] == [2, 4]

    assert scene(play).batches == [[1], [2]]


def test_those_who_come_meanwhile_are_one_group() -> None:
    async def play(batcher: Batcher[int, int], work: Work) -> None:
        asked = await submit_behind_first(batcher, work, 1, 2, 3)
        work.release.set()
        assert await asyncio.gather(*asked) == [0, 2, 4, 6]

    assert scene(play).batches == [[0], [1, 2, 3]]


def test_a_group_is_bounded() -> None:
    async def play(batcher: Batcher[int, int], work: Work) -> None:
        asked = await submit_behind_first(batcher, work, 1, 2, 3, 4, 5)
        work.release.set()
        assert await asyncio.gather(*asked) == [0, 2, 4, 6, 8, 10]

    assert scene(play, max_batch=2).batches == [[0], [1, 2], [3, 4], [5]]


def test_what_the_work_raises_is_raised_to_its_group_alone() -> None:
    async def play(batcher: Batcher[int, int], work: Work) -> None:
        first, *others = await submit_behind_first(batcher, work, 1, 13)
        work.release.set()
        assert await first == 0
        for other in others:
            with pytest.raises(ZeroDivisionError):
                await other
        assert await batcher.submit(4) == 8

    scene(play)


def test_who_gives_up_harms_nobody_and_is_still_worked_on() -> None:
    async def play(batcher: Batcher[int, int], work: Work) -> None:
        first, gone, stays = await submit_behind_first(batcher, work, 1, 2)
        gone.cancel()
        work.release.set()
        assert (await first, await stays) == (0, 4)
        assert gone.cancelled()

    assert scene(play).batches == [[0], [1, 2]]


def test_what_was_asked_before_the_end_is_answered() -> None:
    async def play(batcher: Batcher[int, int], work: Work) -> None:
        asked = await submit_behind_first(batcher, work, 1)
        shutdown = asyncio.create_task(asyncio.to_thread(batcher.close))
        work.release.set()
        assert await asyncio.gather(*asked) == [0, 2]
        await shutdown
        with pytest.raises(RuntimeError):
            await batcher.submit(1)

    scene(play)
