"""The lists of keys: each filter alone and with others, in both orders, page by page, within what the key may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.domain.post import PostStatus
from pipeline.store.database import new_id, row
from pipeline.store.deliveries import queue
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.pauses import pause
from pipeline.store.deliveries.queue_posts import build_post_page
from pipeline.store.deliveries.selection import NO_ERROR, NO_HOLD, ListFilter, Order
from pipeline.store.posts.idempotency import find_posts_sent_as
from pipeline.store.posts.listing import InvalidPlace, choose_walk, list_posts, list_statuses
from tests.pipeline.store.ledger import HOUR, Ledger, Post
from tests.pipeline.store.plans import count_read

MANY = 1500
REJECTED = """error = '{"class": "Rejected", "code": "too_long"}'"""


def list_ids(
    ledger: Ledger,
    workspace: UUID,
    chosen: ListFilter,
    order: Order = Order.CREATED,
    *,
    accounts: Sequence[UUID] | None = None,
    limit: int = 2,
) -> list[UUID]:
    """Return the posts of all pages that a key, restricted to accounts or not, reads."""
    found, after = list[UUID](), None
    own = scoped(chosen, workspace, accounts)
    while True:
        page = ledger.do(list_posts, workspace, own, order, limit=limit, after=after)
        assert len(page.posts) <= limit
        found += [post.id for post in page.posts]
        if (after := page.after) is None:
            return found


def scoped(chosen: ListFilter, workspace: UUID, accounts: Sequence[UUID] | None = None) -> ListFilter:
    return replace(chosen, scope=Scope(workspace=workspace, accounts=accounts))


def age(ledger: Ledger, posts: Sequence[Post]) -> None:
    """Let the posts be made a minute apart, the first one last."""
    for n, post in enumerate(posts):
        with ledger.database.begin() as c:
            for table, column in (("posts", "id"), ("deliveries", "post_id")):
                row(
                    c,
                    f"""UPDATE {table} SET created_at = now() - make_interval(mins => :n)
                        WHERE {column} = :id RETURNING id""",  # noqa: S608  constants
                    n=n,
                    id=post.id,
                )


def test_each_filter_selects_its_posts_and_all_must_hold_in_either_order(ledger: Ledger) -> None:
    workspace, imported = ledger.workspace(), new_id()
    account, elsewhere = ledger.account(workspace), ledger.account(workspace, Platform.PINTEREST)
    failed = ledger.post([account], State.FAILED, due=-HOUR)
    other = ledger.post([account], State.FAILED, due=-2 * HOUR)
    soon, pin = (
        ledger.post([account], due=HOUR),
        ledger.post([elsewhere], platform=Platform.PINTEREST, due=3 * HOUR),
    )
    overdue, live = (
        ledger.post([account], due=-HOUR / 2),
        ledger.post([account], State.PUBLISHED, due=-3 * HOUR),
    )
    for post, status in ((failed, "failed"), (other, "failed"), (live, "posted"), (overdue, "scheduled")):
        ledger.update("posts", post.id, "status = :s", s=status)
    posts = [failed, other, soon, pin, overdue, live]
    age(ledger, posts)
    ledger.change(failed.deliveries[0], REJECTED)
    ledger.update("posts", pin.id, "import_id = :i, caption = 'Spring 100%_SALE'", i=imported)
    ledger.do(pause, "account", str(elsewhere), "test")
    ledger.fresh(due=HOUR)
    now = datetime.now(UTC)
    by_due = [live, other, failed, overdue, soon, pin]
    for chosen, wanted in (
        (ListFilter(), posts),
        (ListFilter(platform="pinterest"), [pin]),
        (ListFilter(platform="youtube"), []),
        (ListFilter(account=account), [p for p in posts if p is not pin]),
        (ListFilter(account=account, created_until=now), [p for p in posts if p is not pin]),
        (ListFilter(account=new_id()), []),
        (ListFilter(import_id=imported), [pin]),
        (ListFilter(import_id=imported, account=account), []),
        (ListFilter(import_id=new_id()), []),
        (ListFilter(state=State.FAILED), [failed, other]),
        (ListFilter(state=State.FAILED, account=account, error_class=NO_ERROR), [other]),
        (ListFilter(state=State.PUBLISHED), [live]),
        (ListFilter(state=State.SCHEDULED, platform="tiktok"), [soon, overdue]),
        (ListFilter(held_for=Hold.PAUSED), [pin]),
        (ListFilter(held_for=NO_HOLD, platform="pinterest"), []),
        (ListFilter(error_class="Rejected"), [failed]),
        (ListFilter(due_from=now - HOUR / 2 - timedelta(minutes=1)), [soon, pin, overdue]),
        (ListFilter(due_from=now, due_until=now + 2 * HOUR), [soon]),
        (ListFilter(due_until=now, status="failed"), [failed, other]),
        (ListFilter(status="pending", due_until=now + 9 * HOUR), [overdue]),
        (ListFilter(status="scheduled", platform="tiktok"), [soon]),
        (ListFilter(text="0%_sal"), [pin]),
        (ListFilter(text="%"), [pin]),
        (ListFilter(text="0_0"), []),
        (ListFilter(created_until=now - timedelta(seconds=150), platform="tiktok"), [overdue, live]),
        (ListFilter(created_from=now - timedelta(seconds=150), platform="tiktok"), [failed, other, soon]),
        (ListFilter(created_from=now - timedelta(seconds=150), status="failed"), [failed, other]),
        (ListFilter(posts=(soon.id, live.id)), [soon, live]),
        (ListFilter(posts=()), []),
    ):
        assert list_ids(ledger, workspace, chosen) == [post.id for post in wanted], chosen
        in_time = [post.id for post in by_due if post in wanted]
        assert list_ids(ledger, workspace, chosen, Order.DUE) == in_time, chosen


@pytest.mark.parametrize("order", list(Order))
def test_a_post_of_many_accounts_is_listed_once(ledger: Ledger, order: Order) -> None:
    workspace, imported = ledger.workspace(), new_id()
    accounts = [ledger.account(workspace) for _ in range(3)]
    posts = [ledger.post(accounts, due=n * HOUR) for n in range(1, 6)]
    age(ledger, posts)
    for post in posts:
        ledger.update("posts", post.id, "import_id = :i", i=imported)
    now = datetime.now(UTC)
    for chosen in (
        ListFilter(state=State.SCHEDULED),
        ListFilter(account=accounts[1]),
        ListFilter(platform="tiktok"),
        ListFilter(import_id=imported),
        ListFilter(text="HELLO"),
        ListFilter(due_from=now, due_until=now + 9 * HOUR),
    ):
        found = list_ids(ledger, workspace, chosen, order)
        assert sorted(found) == sorted(post.id for post in posts), chosen
        if chosen.import_id is None or order is Order.DUE:
            assert found == [post.id for post in posts], chosen


@pytest.mark.parametrize("order", list(Order))
def test_a_restricted_key_sees_only_posts_that_go_to_no_other_accounts(ledger: Ledger, order: Order) -> None:
    workspace = ledger.workspace()
    mine, other = ledger.account(workspace), ledger.account(workspace)
    own = [ledger.post([mine], due=n * HOUR) for n in (1, 2, 3)]
    shared, foreign = ledger.post([mine, other], due=HOUR), ledger.post([other], due=HOUR)
    age(ledger, own)
    now = datetime.now(UTC)
    for chosen in (
        ListFilter(state=State.SCHEDULED),
        ListFilter(account=mine),
        ListFilter(platform="tiktok"),
        ListFilter(text="hello"),
        ListFilter(due_from=now),
        ListFilter(due_from=now, created_until=now + HOUR),
        ListFilter(held_for=NO_HOLD),
    ):
        found = list_ids(ledger, workspace, chosen, order, accounts=[mine])
        assert found == [post.id for post in own], chosen
    for chosen in (ListFilter(account=other), ListFilter(posts=(shared.id, foreign.id))):
        assert list_ids(ledger, workspace, chosen, order, accounts=[mine]) == []


@pytest.mark.parametrize("order", list(Order))
def test_nothing_of_another_workspace_is_listed_or_walked(ledger: Ledger, order: Order) -> None:
    workspace, elsewhere = ledger.workspace(), ledger.workspace()
    theirs, imported = ledger.account(elsewhere), new_id()
    posts = ledger.posts(9, [theirs], State.FAILED)
    ledger.post([ledger.account(workspace)], State.FAILED)
    for post in posts:
        ledger.update("posts", post.id, "import_id = :i, caption = 'Secret', status = 'failed'", i=imported)
    ledger.analyze("deliveries, posts, accounts")
    for chosen in (
        ListFilter(account=theirs),
        ListFilter(import_id=imported),
        ListFilter(text="Secret"),
        ListFilter(posts=tuple(post.id for post in posts)),
        ListFilter(account=theirs, created_until=datetime.now(UTC)),
    ):
        assert list_ids(ledger, workspace, chosen, order) == [], chosen
        own = scoped(chosen, workspace)
        walk = ledger.do(choose_walk, workspace, own, order)
        if walk is not None:
            sql = f"SELECT count(*) FROM ({walk.build(from_place=False)}) w"  # noqa: S608  a walk
            seen = ledger.do(row, sql, **queue.bind(walk, own, None))
            assert seen is not None
            assert seen[0] <= 1 or chosen.posts is not None, "it is no list of ids that a client may send"


def test_an_edit_that_adds_an_account_keeps_the_post_in_the_lists_of_it(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    first, added = ledger.account(workspace), ledger.account(workspace, Platform.PINTEREST)
    post = ledger.post([first, added], due=HOUR)
    ledger.do(
        row,
        """UPDATE posts SET created_at = now() - interval '1 day' WHERE id = :id
           RETURNING id""",
        id=post.id,
    )
    long_ago = datetime.now(UTC) - 12 * HOUR
    for chosen in (
        ListFilter(account=added),
        ListFilter(account=added, created_until=long_ago),
        ListFilter(created_until=long_ago, account=added, state=State.SCHEDULED),
    ):
        assert list_ids(ledger, workspace, chosen) == [post.id]
        assert list_ids(ledger, workspace, chosen, accounts=[first, added]) == [post.id]
    assert list_ids(ledger, workspace, ListFilter(account=added, created_from=long_ago)) == []


def test_a_time_of_one_account_alone_is_found_where_it_stands(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(2)]
    early, late = ledger.post(accounts, due=HOUR), ledger.post(accounts, due=3 * HOUR)
    ledger.change(early.deliveries[1], "due_at = now() + interval '5 hours'")
    now = datetime.now(UTC)
    for chosen, wanted in (
        (ListFilter(due_from=now), [early, late]),
        (ListFilter(due_from=now + 2 * HOUR), [late, early]),
        (ListFilter(due_from=now + 4 * HOUR), [early]),
        (ListFilter(due_until=now + 2 * HOUR), [early]),
        (ListFilter(due_from=now + 2 * HOUR, account=accounts[0]), [late]),
    ):
        assert list_ids(ledger, workspace, chosen, Order.DUE) == [post.id for post in wanted], chosen
        assert set(list_ids(ledger, workspace, chosen)) == ids_of(wanted), chosen


def ids_of(posts: Sequence[Post]) -> set[UUID]:
    return {post.id for post in posts}


def test_an_external_id_is_found_whichever_key_sent_it(ledger: Ledger) -> None:
    workspace, other = ledger.workspace(), ledger.workspace()
    ours, theirs = ledger.post([ledger.account(workspace)]), ledger.post([ledger.account(other)])
    with ledger.database.begin() as c:
        for post, where in ((ours, workspace), (theirs, other)):
            row(
                c,
                """INSERT INTO replays (workspace_id, token, fingerprint, post_id) VALUES (:w, 'id:a b%', '', :id)
                   RETURNING token""",
                w=where,
                id=post.id,
            )
        assert find_posts_sent_as(c, "a b%", [workspace]) == [ours.id]
        assert sorted(find_posts_sent_as(c, "a b%", None)) == sorted([ours.id, theirs.id])
        for absent in ("a b", "A B%", "%", "id:a b%", "", "a b%'"):
            assert find_posts_sent_as(c, absent, [workspace]) == []


def test_a_page_that_reads_its_share_in_vain_goes_on_from_there(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CAP", 4)
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    rare = ledger.post([account], due=HOUR)
    ledger.change(rare.deliveries[0], "held_for = 'rate', next_at = now() + interval '1 hour'")
    age(ledger, [*ledger.posts(9, [account], due=2 * HOUR), rare])
    chosen = scoped(ListFilter(held_for=Hold.RATE), workspace)
    page = ledger.do(list_posts, workspace, chosen, limit=50)
    assert (page.posts, page.after is None) == ([], False)
    assert list_ids(ledger, workspace, chosen) == [rare.id]
    assert list_ids(ledger, workspace, chosen, accounts=[account]) == [rare.id]


@pytest.mark.parametrize("place", [("x", "y", "z"), ("2026-01-01T00:00:00Z",), (), (str(new_id()),) * 3])
def test_a_place_of_another_list_is_refused(ledger: Ledger, place: tuple[str, ...]) -> None:
    workspace = ledger.workspace()
    for chosen in (ListFilter(), ListFilter(state=State.FAILED)):
        with ledger.database.begin() as c, pytest.raises(InvalidPlace):
            list_posts(c, workspace, scoped(chosen, workspace), limit=5, after=place)


def test_filters_that_no_post_can_meet_have_no_status() -> None:
    for chosen in (
        ListFilter(state=State.FAILED, status="posted"),
        ListFilter(state=State.SCHEDULED, status="partial"),
        ListFilter(held_for=Hold.PAUSED, status="failed"),
        ListFilter(held_for=Hold.PAUSED, state=State.PUBLISHED),
        ListFilter(error_class="Rejected", status="canceled"),
    ):
        assert list_statuses(chosen) == frozenset(), chosen
    assert list_statuses(ListFilter()) == frozenset(PostStatus)
    assert list_statuses(ListFilter(state=State.CANCELLED, held_for=NO_HOLD)) == frozenset(PostStatus)


def test_the_statuses_of_a_state_are_those_that_a_post_with_it_can_have(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(2)]
    for one in State:
        for two in State:
            post = ledger.post(accounts, due=HOUR)
            for delivery, state in zip(post.deliveries, (one, two), strict=True):
                ledger.put(Post(id=post.id, workspace=post.workspace, deliveries=[delivery]), state)
    for state in State:
        found = list_ids(ledger, workspace, ListFilter(state=state), limit=50)
        assert len(found) == 2 * len(State) - 1, state


# --- plans -----------------------------------------------------------------------------------------------------------


def test_few_rows_are_read_however_many_posts_there_are(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        queue, "CAP", 100
    )  # a share of these tables as small as the real one is of large ones
    workspace, imported = ledger.workspace(), new_id()
    account, other = ledger.account(workspace), ledger.account(workspace, Platform.PINTEREST)
    for state, status, due in (
        (State.SCHEDULED, "scheduled", HOUR),
        (State.PUBLISHED, "posted", -9 * HOUR),
        (State.FAILED, "failed", -9 * HOUR),
    ):
        for post in ledger.posts(MANY, [account], state, due=due)[:1]:
            ledger.update("posts", post.id, "import_id = :i", i=imported)
        with ledger.database.once() as c:
            c.exec_driver_sql(f"UPDATE posts SET status = '{status}' WHERE due_at = '{due_of(ledger, post)}'")  # noqa: S608
    for _ in range(3):
        ledger.post([other], platform=Platform.PINTEREST, due=2 * HOUR)
    elsewhere = ledger.account(ledger.workspace())
    ledger.posts(MANY, [elsewhere], State.FAILED)
    with ledger.database.once() as c:
        c.exec_driver_sql(
            """UPDATE posts SET due_at = due_at + random() * interval '1 hour',
                                created_at = created_at - random() * interval '1 hour'"""
        )
        c.exec_driver_sql(
            """UPDATE deliveries d SET due_at = p.due_at, created_at = p.created_at FROM posts p
               WHERE p.id = d.post_id"""
        )
        c.exec_driver_sql("VACUUM ANALYZE deliveries, posts, accounts, workspaces")
    now = datetime.now(UTC)
    day: dict[str, Any] = {"due_from": now - HOUR, "due_until": now + HOUR / 2}
    for chosen in (
        ListFilter(platform="tiktok"),
        ListFilter(platform="pinterest"),
        ListFilter(account=account, state=State.PUBLISHED),
        ListFilter(account=account, created_until=now - HOUR / 2, created_from=now - HOUR),
        ListFilter(import_id=imported),
        ListFilter(import_id=new_id()),
        ListFilter(account=elsewhere),
        ListFilter(state=State.FAILED),
        ListFilter(state=State.UNKNOWN),
        ListFilter(state=State.SCHEDULED),
        ListFilter(held_for=Hold.PAUSED),
        ListFilter(error_class="Rejected"),
        ListFilter(**day),
        ListFilter(**day, status="pending"),
        ListFilter(text="absent"),
        ListFilter(posts=(new_id(),)),
    ):
        for order in Order:
            for accounts in (None, [account, other]):
                assert count_page(ledger, workspace, scoped(chosen, workspace, accounts), order) < 100 * 20, (
                    chosen,
                    order,
                    accounts,
                )


def due_of(ledger: Ledger, post: Post) -> Any:
    found = ledger.do(row, "SELECT due_at FROM posts WHERE id = :id", id=post.id)
    assert found is not None
    return found.due_at


def count_page(ledger: Ledger, workspace: UUID, chosen: ListFilter, order: Order) -> int:
    """Return the rows that the first two pages read, the more expensive one."""
    read = []
    with ledger.database.begin() as c:
        walk = choose_walk(c, workspace, chosen, order)
        page = list_posts(c, workspace, chosen, order, limit=50)
    for after in (None, page.after):
        if walk is not None:
            sql, values = build_post_page(walk, chosen, [workspace], after)
            read.append(count_read(ledger, sql, **values, n=51))
    return max(read, default=0)
