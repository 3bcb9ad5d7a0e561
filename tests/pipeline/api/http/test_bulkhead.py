"""Bulkheads and concurrency limits: a full one refuses at once, in all or for one key, and slots come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest

from pipeline.api.http.bulkhead import Bulkhead, ConcurrencyLimit
from pipeline.stages.post_request import Refusal


def waiting(release: threading.Event) -> Callable[[], bool]:
    return lambda: release.wait(60)


async def refusal_of(bulkhead: Bulkhead, key: UUID | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await bulkhead.run(lambda: True, key)
    return caught.value


def test_a_full_bulkhead_is_503_and_empties_again() -> None:
    async def scene() -> None:
        bulkhead, release = Bulkhead("test", threads=1, limit=2), threading.Event()
        inside = [asyncio.create_task(bulkhead.run(waiting(release))) for _ in range(2)]
        await asyncio.sleep(0)
        full = await refusal_of(bulkhead)
        assert (full.status, full.code) == (503, "unavailable")
        release.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await bulkhead.run(lambda: 5) == 5
        bulkhead.close()

    asyncio.run(scene())


def test_one_key_may_not_take_the_whole_limit() -> None:
    async def scene() -> None:
        bulkhead, release, greedy = (
            Bulkhead("test", threads=2, limit=4, per_key=1),
            threading.Event(),
            uuid4(),
        )
        inside = asyncio.create_task(bulkhead.run(waiting(release), greedy))
        await asyncio.sleep(0)
        full = await refusal_of(bulkhead, greedy)
        assert (full.status, full.code) == (429, "rate_limited")
        assert await bulkhead.run(lambda: 5, uuid4()) == 5
        release.set()
        await inside
        assert await bulkhead.run(lambda: 6, greedy) == 6
        bulkhead.close()

    asyncio.run(scene())


def test_a_caller_who_gives_up_does_not_free_a_thread_that_still_works() -> None:
    async def scene() -> None:
        bulkhead, release, began = Bulkhead("test", threads=1, limit=1), threading.Event(), threading.Event()

        def work() -> bool:
            began.set()
            return release.wait(60)

        inside = asyncio.create_task(bulkhead.run(work))
        await asyncio.to_thread(began.wait, 60)
        inside.cancel()
        with pytest.raises(asyncio.CancelledError):
            await inside
        assert (await refusal_of(bulkhead)).status == 503
        release.set()
        await asyncio.to_thread(bulkhead.close)

    asyncio.run(scene())


def test_work_of_a_key_with_much_in_progress_starts_behind_that_of_others() -> None:
    async def scene() -> None:
        bulkhead, release, order = Bulkhead("test", threads=1, limit=9), threading.Event(), list[str]()
        greedy, other = uuid4(), uuid4()
        inside = asyncio.create_task(bulkhead.run(waiting(release), greedy))
        later = [
            asyncio.create_task(bulkhead.run(partial(order.append, name), key))
            for name, key in [("first", greedy), ("second", greedy), ("other", other), ("no key", None)]
        ]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(inside, *later)
        assert order == ["other", "no key", "first", "second"]
        bulkhead.close()

    asyncio.run(scene())


def test_a_bulkhead_that_closes_leaves_no_caller_waiting() -> None:
    async def scene() -> None:
        bulkhead, release = Bulkhead("test", threads=1, limit=2), threading.Event()
        running = asyncio.create_task(bulkhead.run(waiting(release)))
        dropped = asyncio.create_task(bulkhead.run(lambda: True))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(bulkhead.close))
        await asyncio.sleep(0)
        release.set()
        assert await running is True
        await closing
        [ended] = await asyncio.gather(dropped, return_exceptions=True)
        assert ended is True or isinstance(ended, asyncio.CancelledError), "it ran, or was dropped"

    asyncio.run(scene())


def test_an_owner_leaves_room_for_one_more() -> None:
    limit, owners = ConcurrencyLimit(8, leaves_room=True, owner="workspace"), [uuid4() for _ in range(5)]

    def fill(owner: UUID) -> int:
        while True:
            try:
                limit.acquire(owner)
            except Refusal:
                return limit.count(owner)

    assert [fill(owner) for owner in owners] == [4, 2, 1, 1, 0]


def test_a_limit_words_its_refusals_and_frees_slots() -> None:
    limit, one, other = (
        ConcurrencyLimit(2, per_owner=1, owner="workspace", operations="uploads"),
        uuid4(),
        uuid4(),
    )
    with limit.slot(one):
        with pytest.raises(Refusal) as caught:
            limit.acquire(one)
        assert (caught.value.status, caught.value.message) == (
            429,
            "This workspace has 1 uploads in progress already.",
        )
        with limit.slot(other), pytest.raises(Refusal) as caught:
            limit.acquire(uuid4())
        assert caught.value.status == 503
        assert caught.value.message.startswith("Too many uploads are in progress.")
    with limit.slot(one), limit.slot(other):
        pass
