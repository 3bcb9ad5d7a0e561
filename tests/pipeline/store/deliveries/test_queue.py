"""The queue shows the posts that a filter selects, each once, with all its accounts, in order, and reads few rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.store.database import new_id, row, rows, run_many
from pipeline.store.deliveries import queue
from pipeline.store.deliveries.dead_letters import discard, find_dead_letter
from pipeline.store.deliveries.holds import HELD_FOR
from pipeline.store.deliveries.ownership import OPERATOR
from pipeline.store.deliveries.pauses import pause
from pipeline.store.deliveries.queue import Within, choose_walk, find_named
from pipeline.store.deliveries.queue_posts import (
    PostPage,
    build_post_page,
    count_queued_posts,
    list_queued_posts,
    read_queued_posts,
)
from pipeline.store.deliveries.selection import NO_ERROR, ListFilter, find_delivery
from pipeline.store.recovery import epoch
from tests.pipeline.store.ledger import HOUR, Ledger, Post
from tests.pipeline.store.plans import count_read

MANY = 1500
REJECTED = """error = '{"class": "Rejected", "code": "too_long"}'"""


def read(ledger: Ledger, chosen: ListFilter, within: Within = None, *, limit: int = 50) -> PostPage:
    with ledger.database.begin() as c:
        return list_queued_posts(c, find_named(c, chosen, within), within, limit=limit)


def list_ids(
    ledger: Ledger, chosen: ListFilter, within: Within = None, *, newest: bool = False
) -> list[UUID]:
    """Return the posts of all that is selected, page by page of two."""
    found, after = list[UUID](), None
    while True:
        page = ledger.do(list_queued_posts, chosen, within, limit=2, after=after, newest=newest)
        found += page.posts
        if (after := page.after) is None:
            return found


def ids(posts: Sequence[Post]) -> set[UUID]:
    return {post.id for post in posts}


# --- what is shown ---------------------------------------------------------------------------------------------------


WALKED = (State.ACCEPTED, State.SCHEDULED, State.QUEUED, State.UNKNOWN, State.FAILED, State.PUBLISHED)
"""A state of each walk."""


@pytest.mark.parametrize("number", [3, queue.FEW + 1])
@pytest.mark.parametrize("state", [None, *WALKED])
def test_a_visitor_sees_each_post_that_is_theirs_once_and_no_other(
    ledger: Ledger, number: int, state: State | None
) -> None:
    mine = [ledger.fresh(state or State.PUBLISHED, accounts=2) for _ in range(number)]
    other = ledger.fresh(state or State.PUBLISHED)
    ledger.fresh(State.PUBLISHED if state is State.FAILED else State.FAILED)
    within = [post.workspace for post in mine]
    assert sorted(list_ids(ledger, ListFilter(state=state), within)) == sorted(ids(mine))
    assert list_ids(ledger, ListFilter(state=state, workspace=other.workspace)) == [other.id]
    assert list_ids(ledger, ListFilter(state=state, workspace=new_id()), within) == []
    assert list_ids(ledger, ListFilter(state=state), []) == []


def test_a_post_is_listed_once_wherever_its_deliveries_stand(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(3)]
    posts = [ledger.post(accounts, due=n * HOUR) for n in (1, 2, 3, 4, 5)]
    for n, post in enumerate(posts):  # their places in every order differ
        for k, delivery in enumerate(post.deliveries):
            ledger.change(delivery, "next_at = now() + make_interval(mins => :m)", m=(n * 7 + k * 11) % 13)
    other = ledger.fresh(due=HOUR)
    now = datetime.now(UTC)
    span = ListFilter(due_from=now, due_until=now + 9 * HOUR, unsent=True)
    for chosen, within, more in (
        (ListFilter(), [workspace], []),
        (ListFilter(state=State.SCHEDULED, workspace=workspace), None, []),
        (ListFilter(account=accounts[1]), None, []),
        (ListFilter(unsent=True), [workspace, other.workspace], [other]),
        (span, [workspace], []),
    ):
        found = list_ids(ledger, chosen, within)
        assert sorted(found) == sorted(post.id for post in (*posts, *more)), chosen
    assert list_ids(ledger, span, [workspace]) == [post.id for post in posts], "the first due first"


def test_each_condition_selects_its_deliveries_and_all_must_hold(ledger: Ledger) -> None:
    workspace, imported = ledger.workspace(), new_id()
    account, elsewhere = ledger.account(workspace), ledger.account(workspace, Platform.PINTEREST)
    failed, other = ledger.post([account], State.FAILED, due=-HOUR), ledger.post([account], State.FAILED)
    blocked, pin = ledger.post([account]), ledger.post([elsewhere], platform=Platform.PINTEREST)
    ledger.put(blocked, State.BLOCKED, reason=Reason.IS_IT_LIVE)
    ledger.change(failed.deliveries[0], f"{REJECTED}, updated_at = now() - interval '2 hours'")
    ledger.update("posts", pin.id, "import_id = :i", i=imported)
    now = datetime.now(UTC)
    for chosen, wanted in (
        (ListFilter(error_class="Rejected"), [failed]),
        (ListFilter(code="too_long", state=State.FAILED), [failed]),
        (ListFilter(error_class=NO_ERROR, code=NO_ERROR), [other, blocked, pin]),
        (ListFilter(reason=Reason.IS_IT_LIVE), [blocked]),
        (ListFilter(state=State.SCHEDULED), [pin]),
        (ListFilter(due_until=now - HOUR / 2), [failed]),
        (ListFilter(due_from=now - HOUR / 2, platform=Platform.TIKTOK), [other, blocked]),
        (ListFilter(deliveries=tuple(other.deliveries)), [other]),
        (ListFilter(import_id=imported), [pin]),
        (ListFilter(older=HOUR), [failed]),
        (ListFilter(younger=HOUR, account=account), [other, blocked]),
        (ListFilter(older=HOUR, code=NO_ERROR), []),
    ):
        assert set(list_ids(ledger, chosen)) == ids(wanted), chosen


def test_deleted_posts_are_not_shown_and_discarded_letters_can_be_left_out(ledger: Ledger) -> None:
    gone, given_up, left = (ledger.fresh(State.FAILED) for _ in range(3))
    with ledger.database.begin() as c:
        row(c, "UPDATE posts SET deleted_at = now() WHERE id = :id RETURNING id", id=gone.id)
        letter = find_dead_letter(c, given_up.deliveries[0], OPERATOR)
        assert letter is not None
        discard(c, letter, why="known", who="tests")
    assert set(list_ids(ledger, ListFilter(state=State.FAILED))) == ids([given_up, left])
    assert list_ids(ledger, ListFilter(state=State.FAILED, discarded=False)) == [left.id]


def test_text_is_an_id_or_an_external_id_or_a_part_of_the_caption(ledger: Ledger) -> None:
    one, other = ledger.fresh(), ledger.fresh()
    with ledger.database.begin() as c:
        row(c, "UPDATE posts SET caption = 'Spring 100%_SALE' WHERE id = :id RETURNING id", id=one.id)
        row(
            c,
            """INSERT INTO replays (workspace_id, token, fingerprint, post_id) VALUES (:w, 'id:sale', '', :id)
               RETURNING token""",
            w=other.workspace,
            id=other.id,
        )
    for text, wanted in (
        (str(one.id), one),
        (str(one.deliveries[0]).upper(), one),
        ("0%_sal", one),
        ("sale", other),  # an external id comes before captions
    ):
        page = read(ledger, ListFilter(text=text))
        assert page.posts == [wanted.id], text
    assert read(ledger, ListFilter(text="sale"), [one.workspace]).posts == [one.id]
    assert read(ledger, ListFilter(text=str(one.id)), [other.workspace]).posts == []
    assert read(ledger, ListFilter(text="0_0")).posts == []


def test_a_search_that_reads_its_share_in_vain_goes_on_from_there(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CAP", 4)
    account = ledger.account(ledger.workspace())
    rare = ledger.post([account])
    ledger.change(rare.deliveries[0], REJECTED)
    ledger.posts(9, [account])
    chosen = ListFilter(error_class="Rejected")
    page = read(ledger, chosen)
    assert (page.posts, page.is_cut) == ([], True)
    assert list_ids(ledger, chosen) == [rare.id]


def test_late_posts_are_those_still_to_be_sent_whose_time_has_come(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    late, queued = ledger.post([account], due=-2 * HOUR), ledger.post([account], State.QUEUED, due=-HOUR)
    for state in (State.PUBLISHED, State.UNKNOWN, State.FAILED, State.CANCELLED, State.BLOCKED):
        ledger.post([account], state, due=-HOUR)
    ledger.post([account], due=HOUR)
    elsewhere = ledger.fresh(due=-HOUR)
    chosen = ListFilter(unsent=True, due_until=datetime.now(UTC) - timedelta(minutes=1))
    assert list_ids(ledger, chosen, [workspace]) == [late.id, queued.id]
    assert set(list_ids(ledger, chosen, [workspace, elsewhere.workspace])) == {
        late.id,
        queued.id,
        elsewhere.id,
    }
    with ledger.database.begin() as c:
        assert count_queued_posts(c, chosen, [workspace], most=10) == 2
        assert count_queued_posts(c, chosen, [workspace], most=1) == 2, (
            "one more than asked for: there are more"
        )
        assert count_queued_posts(c, chosen, [], most=10) == 0


def test_posts_that_go_out_now_are_neither_late_nor_still_to_come(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    second = timedelta(seconds=-1)
    going = [
        ledger.post([account], State.PUBLISHING, due=-HOUR),
        ledger.post([account], State.PROCESSING, due=-HOUR),
        *(
            ledger.post([account], state, due=second)
            for state in (State.QUEUED, State.ACCEPTED, State.SCHEDULED)
        ),
    ]
    late, paused = ledger.post([account], State.QUEUED, due=-HOUR), ledger.post([account], due=second)
    waits, soon = ledger.post([account], State.RETRYING, due=second), ledger.post([account], due=HOUR)
    ledger.change(waits.deliveries[0], "next_at = now() + interval '1 minute'")
    for state in (State.PUBLISHED, State.UNKNOWN, State.FAILED, State.CANCELLED, State.BLOCKED):
        ledger.post([account], state, due=second)
    ledger.pause_delivery(paused.deliveries[0])
    now = datetime.now(UTC)
    for within in ([workspace], [workspace, *(new_id() for _ in range(queue.SOME))]):
        assert set(list_ids(ledger, ListFilter(goes_out=True), within)) == {one.id for one in going}
    assert {one.id for one in going}.isdisjoint(
        list_ids(ledger, ListFilter(unsent=True, due_from=now), [workspace])
    )
    late_ones = ListFilter(unsent=True, due_until=now - timedelta(minutes=1))
    assert list_ids(ledger, late_ones, [workspace]) == [late.id]
    assert soon.id in list_ids(ledger, ListFilter(unsent=True, due_from=now), [workspace])


@pytest.mark.parametrize("by", ["few", "many", "account"])
def test_a_span_of_time_runs_by_time_or_the_newest_first(ledger: Ledger, by: str) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    states = (State.SCHEDULED, State.PUBLISHED, State.FAILED, State.SCHEDULED, State.PUBLISHED)
    posts = [
        ledger.post([account], state, due=n * HOUR) for n, state in zip((5, 1, 4, 2, 3), states, strict=True)
    ]
    others = [new_id() for _ in range(queue.SOME)] if by == "many" else []
    chosen = ListFilter(due_from=datetime.now(UTC), account=account if by == "account" else None)
    found = list_ids(ledger, chosen, [workspace, *others])
    assert found == [posts[n].id for n in (1, 3, 4, 2, 0)]
    assert list_ids(ledger, chosen, [workspace, *others], newest=True) == [one.id for one in posts[::-1]]


def test_a_post_is_read_with_all_accounts_that_it_targets(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(3)]
    post, other = ledger.post(accounts, due=HOUR), ledger.fresh()
    ledger.change(post.deliveries[1], "state = 'cancelled', removed_generation = generation")
    [read] = ledger.do(read_queued_posts, [other.id, post.id], [workspace])
    assert read.id == post.id
    assert {one.facts.id for one in read.deliveries} == {post.deliveries[0], post.deliveries[2]}
    ledger.update("posts", post.id, "deleted_at = now()")
    assert ledger.do(read_queued_posts, [post.id], None) == []


def test_time_runs_as_the_walk_says(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    late, soon = ledger.post([account], due=2 * HOUR), ledger.post([account], due=HOUR)
    for chosen in (ListFilter(state=State.SCHEDULED), ListFilter(state=State.SCHEDULED, account=account)):
        assert list_ids(ledger, chosen) == [soon.id, late.id]
    assert list_ids(ledger, ListFilter(account=account)) == [soon.id, late.id]


# --- the filter by hold ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def held(shared: Ledger) -> UUID:
    """An account with a delivery for each state, hold and time, and one that is paused."""
    account = shared.account(shared.workspace())
    paused = shared.post([account])
    kinds = [*product((None, Hold.RATE, Hold.MIN_GAP), (-60, 60, -5))]
    posts = [
        (post, *kind)
        for state, due in product(State, (-HOUR, HOUR))
        for post, kind in zip(shared.posts(len(kinds), [account], state, due=due), kinds, strict=True)
    ]
    shared.pause_delivery(paused.deliveries[0])
    shared.do(
        run_many,
        """UPDATE deliveries SET held_for = :hold, next_at = now() + make_interval(secs => :ahead)
           WHERE id = :id RETURNING id""",
        [{"id": post.deliveries[0], "hold": hold, "ahead": ahead} for post, hold, ahead in posts],
    )
    return account


@pytest.mark.parametrize("standing", ["nothing", "pause", "breaker", "epoch"])
def test_a_delivery_is_found_by_the_hold_that_readers_see(shared: Ledger, held: UUID, standing: str) -> None:
    with shared.database.begin() as c, c.begin_nested() as savepoint:
        if standing == "pause":
            pause(c, "account", str(held), "test")
        if standing == "breaker":
            row(
                c,
                """INSERT INTO platform_health (platform, opened_at, why, probe_at)
                   VALUES ('tiktok', now(), 'test', now()) ON CONFLICT (platform)
                   DO UPDATE SET opened_at = now(), why = 'test', probe_at = now() RETURNING platform""",
            )
        if standing == "epoch":
            epoch.hold(c, "declared", since=None, until=None)
        found = rows(c, f"SELECT d.id, {HELD_FOR} AS held_for FROM deliveries d")  # noqa: S608  a constant
        seen = {r.id: find_delivery(c, r.id) for r in found}
        savepoint.rollback()
    assert len(found) == len(State) * 18 + 1
    assert {r.id: r.held_for for r in found} == {i: d and d.held_for for i, d in seen.items()}
    assert Hold.PAUSED in {r.held_for for r in found} or standing == "epoch"


# --- plans -----------------------------------------------------------------------------------------------------------


def test_few_rows_are_read_however_much_is_stored(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    # a share of these tables as small as the real one is of large ones
    monkeypatch.setattr(queue, "CAP", 100)
    workspace, others = ledger.workspace(), [ledger.fresh(due=HOUR).workspace for _ in range(8)]
    account, other = ledger.account(workspace), ledger.account(workspace)
    for state, due in ((State.SCHEDULED, HOUR), (State.PUBLISHED, -HOUR), (State.FAILED, -HOUR)):
        ledger.posts(MANY, [account], state, due=due)
    elsewhere = ledger.fresh(State.PUBLISHED)
    ledger.post([other], State.UNKNOWN)
    with ledger.database.once() as c:
        c.exec_driver_sql(
            """UPDATE deliveries SET next_at = next_at + random() * interval '1 hour',
                                     due_at = due_at + random() * interval '1 hour'"""
        )
        c.exec_driver_sql(
            "UPDATE posts p SET due_at = (SELECT min(due_at) FROM deliveries d WHERE d.post_id = p.id)"
        )
    ledger.analyze("deliveries, posts, accounts, workspaces, replays")
    middle, waiting, by_id = (
        ledger.do(list_queued_posts, chosen, None, limit=90).after
        for chosen in (ListFilter(workspace=workspace), ListFilter(state=State.SCHEDULED), ListFilter())
    )
    now = datetime.now(UTC)
    day: dict[str, Any] = {"due_from": now - 3 * HOUR, "due_until": now + 3 * HOUR}
    page, merged, share = 50 * 12, 100 * 20, 100 * 8
    for most, chosen, within, after in (
        (page, ListFilter(), None, None),
        (page, ListFilter(), None, by_id),
        (page, ListFilter(workspace=workspace), None, None),
        (page, ListFilter(workspace=workspace), None, middle),
        (page, ListFilter(), [workspace, elsewhere.workspace], None),
        (page, ListFilter(), [elsewhere.workspace], None),
        (page, ListFilter(account=account, state=State.PUBLISHED), None, None),
        (page, ListFilter(account=other), [workspace], None),
        (page, ListFilter(state=State.SCHEDULED), None, None),
        (page, ListFilter(state=State.SCHEDULED), None, waiting),
        (page, ListFilter(state=State.SCHEDULED, platform="tiktok"), [workspace], None),
        (page, ListFilter(state=State.SCHEDULED, account=account), None, None),
        (page, ListFilter(state=State.FAILED), None, None),
        (page, ListFilter(state=State.UNKNOWN), None, None),
        (page, ListFilter(state=State.QUEUED), None, None),
        (page, ListFilter(state=State.ACCEPTED), None, None),
        (page, ListFilter(import_id=new_id()), None, None),
        (page, ListFilter(deliveries=tuple(elsewhere.deliveries)), None, None),
        (merged, ListFilter(**day), [workspace], None),
        (merged, ListFilter(**day, is_open=True), [workspace, *others], None),
        (merged, ListFilter(due_until=now - HOUR / 60, unsent=True), [workspace, *others], None),
        (merged, ListFilter(due_from=now - 3 * HOUR), None, None),
        (merged, ListFilter(**day, account=account), None, None),
        (merged, ListFilter(goes_out=True), None, None),
        # what is not there
        *((share, ListFilter(platform="youtube"), one, None) for one in (None, [workspace])),
        *((share, ListFilter(text="absent"), one, None) for one in (None, [workspace])),
        *((share, ListFilter(held_for=Hold.PAUSED), one, None) for one in (None, [workspace])),
    ):
        sql, values = build_post_page(choose_walk(chosen, within), chosen, within, after)
        assert count_read(ledger, sql, **values, n=50) < most, (chosen, within, after)
    for text in ("anything", str(new_id())):
        sql, values = queue.build_named(text, None)
        assert count_read(ledger, sql, **values) < 20, "by indexes"
