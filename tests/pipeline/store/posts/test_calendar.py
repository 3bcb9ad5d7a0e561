"""A calendar gets numbers by span, part and platform, and the first posts of a span, and few rows are read for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import Reason, State
from pipeline.store.database import row
from pipeline.store.posts import calendar
from pipeline.store.posts.actions import hide_post
from pipeline.store.posts.calendar import DuePost, Span, SpanCount, Whose, count_due, list_due
from pipeline.store.posts.views import read_posts_within
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.plans import count_rows_read

DAY = timedelta(days=1)
MANY = 2000


@pytest.fixture(scope="module")
def start() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=30)


def days(start: datetime, number: int = 3) -> list[Span]:
    return [(start + n * DAY, start + (n + 1) * DAY) for n in range(number)]


def due(ledger: Ledger, whose: Whose, spans: Sequence[Span], shown: int = 2) -> list[list[DuePost]]:
    return ledger.do(list_due, whose, spans, shown=shown)


def count(
    ledger: Ledger, whose: Whose, spans: Sequence[Span], parts: Sequence[datetime] = ()
) -> list[SpanCount]:
    return ledger.do(count_due, whose, spans, parts or [spans[0][0]])


def of(workspace: UUID, platform: Platform | None = None) -> Whose:
    return Whose(workspaces=[workspace], platform=platform)


def ids(posts: Sequence[DuePost]) -> list[UUID]:
    return [post.id for post in posts]


def numbers(found: Sequence[SpanCount]) -> list[tuple[int, bool]]:
    return [(one.posts, one.has_more) for one in found]


def test_each_span_has_its_number_and_its_first_posts(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    account, other = shared.account(workspace), shared.account(workspace, Platform.YOUTUBE)
    late = shared.post([account, other], due=HOUR * 5)
    early = shared.posts(3, [account], due=HOUR * 2)
    tomorrow = shared.post([other], State.FAILED, due=HOUR * 26)
    whose = of(workspace)
    assert numbers(count(shared, whose, days(start))) == [(4, False), (1, False), (0, False)]
    first, second, third = due(shared, whose, days(start))
    assert len(first) == 2
    assert set(ids(first)) <= {post.id for post in early}
    assert (ids(second), ids(third)) == ([tomorrow.id], [])
    mine = of(workspace, Platform.YOUTUBE)
    assert numbers(count(shared, mine, days(start))) == [(1, False), (1, False), (0, False)]
    assert ids(due(shared, mine, days(start))[0]) == [late.id]
    [all_of_it] = due(shared, whose, [(start, start + 3 * DAY)], shown=9)
    assert [post.due_at for post in all_of_it] == sorted(post.due_at for post in all_of_it)
    assert len(all_of_it) == 5


def test_the_parts_of_all_spans_have_their_numbers(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    for hours, posts in ((2, 3), (5, 1), (26, 2)):
        shared.posts(posts, [account], due=HOUR * hours)
    parts = [start + n * HOUR for n in range(48)]
    first, second = count(shared, of(workspace), days(start, 2), parts)
    assert (first.parts, second.parts) == ({2: 3, 5: 1}, {26: 2})


def test_posts_of_several_workspaces_are_counted_and_merged_by_their_time(
    shared: Ledger, start: datetime
) -> None:
    posts = [shared.fresh(due=HOUR * hours) for hours in (3, 1, 2)]
    shared.fresh(due=HOUR)
    whose = Whose(workspaces=[post.workspace for post in posts])
    assert numbers(count(shared, whose, days(start, 1))) == [(3, False)]
    assert ids(due(shared, whose, days(start, 1), shown=9)[0]) == [posts[n].id for n in (1, 2, 0)]
    for platform in (Platform.TIKTOK, None):
        none = Whose(workspaces=[], platform=platform)
        assert numbers(count(shared, none, days(start, 1))) == [(0, False)]
        assert due(shared, none, days(start, 1)) == [[]]


def test_a_post_at_two_accounts_of_a_platform_is_one_post(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    post = shared.post([shared.account(workspace), shared.account(workspace)], due=HOUR)
    whose = of(workspace, Platform.TIKTOK)
    assert numbers(count(shared, whose, days(start, 1))) == [(1, False)]
    assert ids(due(shared, whose, days(start, 1))[0]) == [post.id]


def test_platforms_have_their_numbers_and_what_waits_has_its_reason(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    good = shared.account(workspace)
    lost, tube = shared.account(workspace, Platform.PINTEREST), shared.account(workspace, Platform.YOUTUBE)
    shared.update("accounts", lost, "status = 'reconnect'")
    shared.post([good, lost], due=HOUR, platform=Platform.TIKTOK)
    gone = shared.post([good], due=HOUR)
    shared.put(gone, State.CANCELLED)
    asked = shared.post([tube], due=HOUR * 26)
    shared.put(asked, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
    refused = shared.post([tube], due=HOUR * 26)
    shared.put(refused, State.BLOCKED, reason=Reason.RECONNECT)
    first, second, third = count(shared, of(workspace), days(start))
    assert first.platforms == {"tiktok": 1, "pinterest": 1}
    assert first.waits == {Reason.RECONNECT: 1}
    assert second.platforms == {"youtube": 2}
    assert second.waits == {Reason.IS_IT_LIVE: 1, Reason.RECONNECT: 1}
    assert not third.platforms
    [first, *_] = count(shared, of(workspace, Platform.PINTEREST), days(start))
    assert first.platforms == {"pinterest": 1}


def test_deleted_posts_and_those_of_another_workspace_are_not_there(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    gone = shared.post([account], due=HOUR)
    shared.do(hide_post, gone.id)
    for platform in (None, Platform.TIKTOK):
        assert due(shared, of(workspace, platform), days(start)) == [[], [], []]
        assert numbers(count(shared, of(workspace, platform), days(start, 1))) == [(0, False)]
    shared.post([account], due=HOUR)
    assert due(shared, of(shared.workspace(), Platform.TIKTOK), days(start, 1)) == [[]]


def test_only_posts_of_the_workspaces_are_read(shared: Ledger) -> None:
    mine, foreign, gone = (shared.fresh() for _ in range(3))
    shared.do(hide_post, gone.id)
    posts = [mine.id, foreign.id, gone.id]
    [view] = shared.do(read_posts_within, [mine.workspace, gone.workspace], posts)
    assert (view.id, [one.id for one in view.deliveries]) == (mine.id, mine.deliveries)


def test_a_span_starts_with_its_start_and_ends_before_its_end(shared: Ledger) -> None:
    workspace = shared.workspace()
    post = shared.post([shared.account(workspace)], due=HOUR)
    with shared.database.begin() as c:
        found = row(c, "SELECT due_at FROM posts WHERE id = :id", id=post.id)
        assert found is not None
    at = found.due_at
    spans = [(at - HOUR, at), (at, at + HOUR)]
    before, after = due(shared, of(workspace), spans)
    assert (ids(before), ids(after)) == ([], [post.id])
    one, two = count(shared, of(workspace), spans, [at - HOUR, at])
    assert (one.posts, two.parts, two.platforms) == (0, {2: 1}, {"tiktok": 1})


def test_more_than_can_be_counted_is_said_to_be_more(
    shared: Ledger, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    shared.posts(9, [account], due=HOUR)
    shared.posts(4, [account], due=HOUR * 26)
    monkeypatch.setattr(calendar, "COUNTED", 15)
    for platform in (None, Platform.TIKTOK):
        found = count(shared, of(workspace, platform), days(start))
        assert numbers(found) == [(5, True), (4, False), (0, False)]
        assert not found[0].platforms
        assert (found[1].platforms, found[1].is_cut) == ({"tiktok": 4}, False)
    monkeypatch.setattr(calendar, "COUNTED_DELIVERIES", 3)
    assert count(shared, of(workspace), days(start))[1].is_cut


def test_where_there_are_very_many_each_span_shows_fewer(
    shared: Ledger, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    for hours in (1, 26, 50):
        shared.posts(4, [account], due=HOUR * hours)
    shared.posts(1, [account], due=HOUR * 80)
    for most, shown in ((8, [2, 2, 2, 1]), (2, [1, 1, 1, 1])):
        monkeypatch.setattr(calendar, "MOST", most)
        found = due(shared, of(workspace), days(start, 4), shown=5)
        assert [len(posts) for posts in found] == shown


@pytest.fixture(scope="module")
def many(shared: Ledger) -> UUID:
    """A workspace with very many posts that are due in one hour, and an account that has one."""
    workspace = shared.workspace()
    account, rare = shared.account(workspace), shared.account(workspace, Platform.YOUTUBE)
    shared.posts(MANY, [account], State.SCHEDULED, due=HOUR * 30)
    shared.post([rare], due=HOUR * 30)
    shared.analyze("posts, deliveries")
    return workspace


@pytest.mark.parametrize("platform", [None, Platform.YOUTUBE])
def test_few_rows_are_read_however_many_there_are(
    shared: Ledger,
    start: datetime,
    many: UUID,
    monkeypatch: pytest.MonkeyPatch,
    platform: Platform | None,
) -> None:
    monkeypatch.setattr(calendar, "COUNTED", 700)
    spans, parts = days(start, 7), [start + n * HOUR for n in range(168)]
    whose = of(many, platform)
    assert count(shared, whose, spans, parts)[1].posts == (100 if platform is None else 1)
    read = count_rows_read(shared, calendar, list_due, whose, spans, shown=2)
    assert read < 20
    counted = count_rows_read(shared, calendar, count_due, whose, spans, parts)
    assert counted < (150 if platform is None else 40)
