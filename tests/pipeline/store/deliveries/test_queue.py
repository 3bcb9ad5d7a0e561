"""The queue shows what a filter selects, all of it and once, and reads few rows however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
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
    list_queued_posts,
    read_queued_posts,
)
from pipeline.store.deliveries.selection import NO_ERROR, ListFilter, find_delivery
from pipeline.store.recovery import epoch
from tests.pipeline.store.ledger import HOUR, Ledger, Post
from tests.pipeline.store.plans import count_read

MANY = 3000
REJECTED = """error = '{"class": "Rejected", "code": "too_long"}'"""


def read(ledger: Ledger, chosen: ListFilter, within: Within = None, *, limit: int = 50) -> PostPage:
    with ledger.database.begin() as c:
        return list_queued_posts(c, find_named(c, chosen, within), within, limit=limit)


def list_ids(ledger: Ledger, chosen: ListFilter, within: Within = None) -> list[UUID]:
    """Return the posts of all that is selected, page by page of two."""
    found, after = list[UUID](), None
    while True:
        with ledger.database.begin() as c:
            page = list_queued_posts(c, chosen, within, limit=2, after=after)
        found += page.posts
        if (after := page.after) is None:
            return found


def ids(posts: Sequence[Post]) -> set[UUID]:
    return {post.id for post in posts}


def find_workspace(ledger: Ledger, post: UUID) -> UUID:
    with ledger.database.begin() as c:
        [found] = read_queued_posts(c, [post], None)
    return found.workspace_id


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
def test_pages_show_each_post_of_a_state_once(ledger: Ledger, state: State) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(2)]
    wanted = ids(ledger.posts(3, accounts, state))
    ledger.fresh(State.PUBLISHED if state is not State.PUBLISHED else State.FAILED)
    for chosen in (
        ListFilter(),
        ListFilter(state=state),
        ListFilter(account=accounts[0]),
        ListFilter(workspace=workspace),
        ListFilter(state=state, account=accounts[1]),
    ):
        found = list_ids(ledger, chosen)
        assert len(found) == len(set(found)), chosen
        assert set(found) >= wanted, chosen
        assert len(found) == len(wanted) + (chosen == ListFilter()), chosen


@pytest.mark.parametrize("number", [1, 3, queue.FEW + 1])
@pytest.mark.parametrize("state", [None, State.SCHEDULED, State.FAILED, State.UNKNOWN])
def test_a_visitor_sees_only_what_is_theirs(ledger: Ledger, number: int, state: State | None) -> None:
    mine = [ledger.fresh(state or State.PUBLISHED, accounts=2) for _ in range(number)]
    ledger.fresh(state or State.PUBLISHED)
    within = [post.workspace for post in mine]
    assert set(list_ids(ledger, ListFilter(state=state), within)) == ids(mine)
    assert list_ids(ledger, ListFilter(state=state, workspace=new_id()), within) == []
    assert list_ids(ledger, ListFilter(state=state), []) == []


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
        (ListFilter(error_class="Unavailable"), []),
        (ListFilter(code="too_long", state=State.FAILED), [failed]),
        (ListFilter(error_class=NO_ERROR, code=NO_ERROR), [other, blocked, pin]),
        (ListFilter(reason=Reason.IS_IT_LIVE), [blocked]),
        (ListFilter(state=State.SCHEDULED), [pin]),
        (ListFilter(account=account), [failed, other, blocked]),
        (ListFilter(due_until=now - HOUR / 2), [failed]),
        (ListFilter(due_from=now - HOUR / 2, platform=Platform.TIKTOK), [other, blocked]),
        (ListFilter(platform=Platform.YOUTUBE), []),
        (ListFilter(deliveries=tuple(other.deliveries)), [other]),
        (ListFilter(import_id=imported), [pin]),
        (ListFilter(import_id=imported, account=account), []),
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
    with shared.database.begin() as c:
        row(
            c,
            "INSERT INTO paused_deliveries (delivery_id, job_id, why) VALUES (:d, :d, 'test') RETURNING why",
            d=paused.deliveries[0],
        )
        run_many(
            c,
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
    monkeypatch.setattr(
        queue, "CAP", 100
    )  # a share of these tables as small as the real one is of large ones
    workspace = ledger.workspace()
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
        c.exec_driver_sql("VACUUM ANALYZE deliveries, posts, accounts, workspaces")
    with ledger.database.begin() as c:
        middle = list_queued_posts(c, ListFilter(workspace=workspace), None, limit=90).after
        waiting = list_queued_posts(c, ListFilter(state=State.SCHEDULED), None, limit=90).after
        by_id = list_queued_posts(c, ListFilter(), None, limit=90).after
    for chosen, within, after in (
        (ListFilter(), None, None),
        (ListFilter(), None, by_id),
        (ListFilter(workspace=workspace), None, None),
        (ListFilter(workspace=workspace), None, middle),
        (ListFilter(), [workspace, elsewhere.workspace], None),
        (ListFilter(), [elsewhere.workspace], None),
        (ListFilter(account=account, state=State.PUBLISHED), None, None),
        (ListFilter(account=other), [workspace], None),
        (ListFilter(state=State.SCHEDULED), None, None),
        (ListFilter(state=State.SCHEDULED), None, waiting),
        (ListFilter(state=State.SCHEDULED, platform="tiktok"), [workspace], None),
        (ListFilter(state=State.SCHEDULED, account=account), None, None),
        (ListFilter(state=State.FAILED), None, None),
        (ListFilter(state=State.UNKNOWN), None, None),
        (ListFilter(state=State.QUEUED), None, None),
        (ListFilter(state=State.ACCEPTED), None, None),
        (ListFilter(import_id=new_id()), None, None),
        (ListFilter(deliveries=tuple(elsewhere.deliveries)), None, None),
    ):
        sql, values = build_post_page(choose_walk(chosen, within), chosen, within, after)
        assert count_read(ledger, sql, **values, n=50) < 50 * 12, (chosen, within, after)


def test_no_more_than_its_share_is_read_for_what_is_not_there(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CAP", 100)
    account = ledger.account(ledger.workspace())
    ledger.posts(MANY, [account], State.PUBLISHED)
    with ledger.database.once() as c:
        c.exec_driver_sql("VACUUM ANALYZE deliveries, posts")
    values: dict[str, Any]
    for chosen in (
        ListFilter(platform="youtube"),
        ListFilter(text="absent"),
        ListFilter(held_for=Hold.PAUSED),
    ):
        for within in (
            None,
            [find_workspace(ledger, read(ledger, ListFilter()).posts[0])],
        ):
            sql, values = build_post_page(choose_walk(chosen, within), chosen, within, None)
            assert count_read(ledger, sql, **values, n=50) < 100 * 8, (chosen, within)


def test_what_a_text_names_is_found_by_indexes(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    ledger.posts(MANY, [account], State.PUBLISHED)
    with ledger.database.once() as c:
        c.exec_driver_sql("VACUUM ANALYZE deliveries, posts, replays")
    for text in ("anything", str(new_id())):
        sql, values = queue.build_named(text, None)
        assert count_read(ledger, sql, **values) < 20


def test_time_runs_as_the_walk_says(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    late, soon = ledger.post([account], due=2 * HOUR), ledger.post([account], due=HOUR)
    for chosen in (ListFilter(state=State.SCHEDULED), ListFilter(state=State.SCHEDULED, account=account)):
        assert list_ids(ledger, chosen) == [soon.id, late.id]
    assert list_ids(ledger, ListFilter(account=account)) == [soon.id, late.id]
