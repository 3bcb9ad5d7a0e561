"""Lanes are bounded: a full one says so at once, for all or for one key, and room comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from pipeline.api.http.bulkhead import Bulkhead
from pipeline.stages.post_request import Refusal


def waiting(release: threading.Event) -> Callable[[], bool]:
    return lambda: release.wait(10)


async def refusal_of(lane: Bulkhead, key: object = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await lane.run(lambda: True, key)  # type: ignore[arg-type]
    return caught.value


def test_a_full_line_is_503_and_empties_again() -> None:
    async def scene() -> None:
        lane, release = Bulkhead("test", threads=1, line=2), threading.Event()
        inside = [asyncio.create_task(lane.run(waiting(release))) for _ in range(2)]
        await asyncio.sleep(0)
        full = await refusal_of(lane)
        assert (full.status, full.code) == (503, "unavailable")
        release.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await lane.run(lambda: 5) == 5
        lane.close()

    asyncio.run(scene())


def test_one_key_may_not_take_the_whole_line() -> None:
    async def scene() -> None:
        lane, release, greedy = Bulkhead("test", threads=2, line=4, per_key=1), threading.Event(), uuid4()
        inside = asyncio.create_task(lane.run(waiting(release), greedy))
        await asyncio.sleep(0)
        full = await refusal_of(lane, greedy)
        assert (full.status, full.code) == (429, "rate_limited")
        assert await lane.run(lambda: 5, uuid4()) == 5
        release.set()
        await inside
        assert await lane.run(lambda: 6, greedy) == 6
        lane.close()

    asyncio.run(scene())


def test_a_caller_who_gives_up_does_not_free_a_thread_that_still_works() -> None:
    async def scene() -> None:
        lane, release, began = Bulkhead("test", threads=1, line=1), threading.Event(), threading.Event()

        def work() -> bool:
            began.set()
            return release.wait(10)

        inside = asyncio.create_task(lane.run(work))
        await asyncio.to_thread(began.wait, 10)
        inside.cancel()
        with pytest.raises(asyncio.CancelledError):
            await inside
        assert (await refusal_of(lane)).status == 503
        release.set()
        await asyncio.to_thread(lane.close)

    asyncio.run(scene())


def test_what_the_work_raises_is_raised() -> None:
    async def scene() -> None:
        lane = Bulkhead("test", threads=1, line=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await lane.run(lambda: 1 // 0)
        lane.close()

    asyncio.run(scene())
