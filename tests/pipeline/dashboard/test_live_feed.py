"""The feed tells each open page what concerns its visitor, in turn where there is much, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest

from pipeline.dashboard import live_feed
from pipeline.dashboard.events import format_event
from pipeline.dashboard.live_feed import LiveFeed, Subscriber
from pipeline.store.database import Unreachable
from pipeline.store.moves import LiveMove, Reading, Watermark

MINE, OTHER, POST = UUID(int=1), UUID(int=2), UUID(int=3)
SESSION = UUID(int=4)
HERE = 100


def make_move(
    identity: int, workspace: UUID = MINE, origin: str | None = None, target: str = "scheduled"
) -> LiveMove:
    return LiveMove(id=identity, origin=origin, target=target, workspace_id=workspace, post_id=POST)


def make_reading(
    *moves: LiveMove,
    proven: int = HERE,
    last: int = HERE,
    counted: int = 0,
    sees: Collection[UUID] | None = (MINE,),
    is_cut: bool = False,
) -> Reading:
    return Reading(
        watermark=Watermark(proven=proven, seen=proven, writers=()),
        last=last,
        moves=moves,
        is_cut=is_cut,
        counted=counted,
        audiences={SESSION: sees},
    )


class Pages:
    """A feed that is given readings by hand, and its pages."""

    def __init__(self, *topics: str, after: int | None = HERE) -> None:
        async def poll(_before: Watermark | None, _sessions: Collection[UUID]) -> Reading:
            await asyncio.Event().wait()
            raise AssertionError

        self.feed = LiveFeed(poll)
        self.pages = [Subscriber(SESSION, frozenset(one.split()), after) for one in topics]
        for page in self.pages:
            self.feed.join(page)

    def take(self, *moves: LiveMove, **more: object) -> None:
        self.feed.take(make_reading(*moves, **more), {SESSION})  # type: ignore[arg-type]

    async def hear(self, nth: int = 0) -> list[str]:
        _, topics = await self.pages[nth].next(0)
        return list(topics)


def test_a_page_hears_what_it_listens_to_of_its_workspaces() -> None:
    async def run() -> None:
        pages = Pages("posts", f"posts post:{POST} attention", f"post:{UUID(int=9)}")
        pages.take()
        pages.take(make_move(101), make_move(102, OTHER, target="failed"))
        assert await pages.hear(0) == ["posts"]
        assert await pages.hear(1) == [f"post:{POST}", "posts"]
        assert await pages.hear(2) == []
        pages.take(make_move(103, origin="blocked", target="retrying"))
        assert await pages.hear(1) == ["attention", f"post:{POST}", "posts"]
        pages.take(make_move(104, OTHER), sees=None)
        assert await pages.hear(0) == ["posts"], "a role in all workspaces"
        pages.take(make_move(105), sees=())
        assert await pages.hear(0) == [], "the role has ended"

    asyncio.run(run())


def test_a_move_that_is_read_again_is_told_once() -> None:
    async def run() -> None:
        pages = Pages("posts")
        pages.take()
        pages.take(make_move(105))
        assert await pages.hear() == ["posts"]
        pages.take(make_move(105))
        assert await pages.hear() == [], "it is not proven yet, and told"
        pages.take(make_move(103), make_move(105))
        assert await pages.hear() == ["posts"], "it committed late"
        pages.take(proven=105, last=105)
        assert await pages.hear() == []
        assert (await pages.pages[0].next(0))[0] == 105, "it reconnects from here"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("after", "last", "expected"),
    [(HERE, HERE, []), (HERE - 1, HERE, ["attention", "posts"]), (None, 0, ["attention", "posts"])],
)
def test_a_page_that_is_older_than_the_last_move_loads_itself_anew(
    after: int | None, last: int, expected: list[str]
) -> None:
    async def run() -> None:
        pages = Pages("posts attention", after=after)
        pages.take(last=last)
        assert await pages.hear() == expected
        pages.take(last=last + 5)
        assert await pages.hear() == [], "once"

    asyncio.run(run())


def test_of_very_many_moves_every_page_loads_itself_anew() -> None:
    async def run() -> None:
        pages = Pages("posts", "numbers")
        pages.take()
        pages.take(make_move(101, OTHER), is_cut=True)
        assert (await pages.hear(0), await pages.hear(1)) == (["posts"], ["numbers"])

    asyncio.run(run())


def test_numbers_are_told_once_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        pages = Pages("numbers")
        pages.take()
        pages.take(make_move(101, target="published"), counted=100)
        assert await pages.hear() == []
        pages.take(counted=101, proven=101)
        assert await pages.hear() == ["numbers"]
        pages.take(make_move(102, target="failed"), counted=102, proven=102)
        assert await pages.hear() == [], "not again so soon"
        monkeypatch.setattr(live_feed, "NUMBERS_SECONDS", 0)
        pages.take(counted=102, proven=102)
        assert await pages.hear() == ["numbers"], "and not never"

    asyncio.run(run())


def test_where_there_is_much_pages_take_turns_and_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "RELOADS_AT_ONCE", 2)
    monkeypatch.setattr(live_feed, "RELOADS_PER_SECOND", 0)

    async def run() -> None:
        pages = Pages(*["posts"] * 3)
        pages.take()
        pages.take(make_move(101), proven=101)
        heard = [bool(await pages.hear(n)) for n in range(3)]
        assert sorted(heard) == [False, True, True]
        assert (await pages.pages[heard.index(False)].next(0))[0] == HERE, "a reconnect would miss nothing"
        pages.feed._reloads = 1
        pages.take(make_move(102), proven=102)
        again = [bool(await pages.hear(n)) for n in range(3)]
        assert again.index(True) == heard.index(False), "the one that waited is next"

    asyncio.run(run())


def test_a_page_whose_session_has_ended_is_ended_and_a_newer_one_is_not() -> None:
    async def run() -> None:
        pages = Pages("posts", "posts")
        pages.pages[1].session = UUID(int=8)  # it joined while the poll ran
        reading = make_reading()
        pages.feed.take(
            Reading(**{**{n: getattr(reading, n) for n in reading.__slots__}, "audiences": {}}), {SESSION}
        )
        assert [(p.is_over, p.has_session) for p in pages.pages] == [(True, False), (False, True)]

    asyncio.run(run())


def test_the_feed_polls_only_while_a_page_is_open_and_goes_on_after_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_feed, "POLL_SECONDS", 0)
    polls: list[Watermark | None] = []
    answers: list[Reading | Exception] = [
        Unreachable(),
        ValueError("a bug"),
        make_reading(),
        make_reading(make_move(101)),
    ]

    async def run() -> None:
        async def poll(before: Watermark | None, sessions: Collection[UUID]) -> Reading:
            assert sessions == {SESSION}
            polls.append(before)
            if not answers:
                await asyncio.Event().wait()
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        feed, page = LiveFeed(poll), Subscriber(SESSION, frozenset({"posts"}), HERE)
        assert polls == []
        feed.join(page)
        assert (await page.next(60))[1] == ["posts"]
        feed.leave(page)
        await asyncio.sleep(0)
        assert polls[:3] == [None, None, None]
        assert feed._task is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (["posts", "attention"], 'event: changed\ndata: ["attention", "posts"]\nid: 7\n\n'),
        ([], ": still here\nid: 7\n\n"),
    ],
)
def test_an_event_is_lines_with_the_cursor(topics: list[str], expected: str) -> None:
    assert format_event("7", topics).decode() == expected
