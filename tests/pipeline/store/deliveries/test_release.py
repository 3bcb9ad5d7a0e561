"""Release of due deliveries: fair between workspaces, each once, bounded per platform, and never a paused one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.delivery import LOOKED_AT, WAITING, State
from pipeline.domain.hold import Scope
from pipeline.domain.post import slot_end
from pipeline.store.database import rows
from pipeline.store.deliveries import release as store
from pipeline.store.deliveries.claim import Message
from pipeline.store.deliveries.lease import dispatch_looks, redispatch_lost, redispatch_lost_looks
from pipeline.store.deliveries.pauses import lift, pause
from tests.pipeline.store.ledger import HOUR, LEASE, Ledger, together

NOW = timedelta(0)


def release(ledger: Ledger, limit: int = 500, platform: str = "tiktok") -> list[Message]:
    return ledger.do(store.release, platform, limit, LEASE)


def test_what_is_due_is_queued_with_a_lease_and_a_ring(ledger: Ledger) -> None:
    post, later = ledger.fresh(), ledger.fresh(due=HOUR)
    [message] = release(ledger)
    [delivery] = post.deliveries
    assert message == Message(delivery=delivery, platform="tiktok", generation=0, fence=0)
    found = ledger.delivery(delivery)
    assert found.state == "queued"
    assert found.lease_until - found.now <= LEASE
    assert ledger.moves(delivery)[-1] == ("delay", "scheduled", "queued")
    assert ledger.states(later) == [State.SCHEDULED]
    assert release(ledger) == []


def test_the_oldest_first(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    posts = [ledger.post([account], due=timedelta(minutes=-n)) for n in (1, 3, 2)]
    with ledger.database.begin() as c:
        c.exec_driver_sql("ANALYZE deliveries")  # with so few rows the planner scans the table, not an index
    batches = [release(ledger, 1), release(ledger, 9)]
    assert [r.delivery for messages in batches for r in messages] == [
        posts[n].deliveries[0] for n in (1, 2, 0)
    ]


def test_one_with_very_much_due_does_not_stand_in_front_of_one_with_one(ledger: Ledger) -> None:
    crowd = ledger.account(ledger.workspace())
    ledger.posts(500, [crowd], due=-HOUR)
    single = ledger.fresh()
    small = ledger.posts(3, [ledger.account(ledger.workspace())], due=timedelta(minutes=-1))
    with ledger.database.begin() as c:
        c.exec_driver_sql("ANALYZE deliveries")
    first = [r.delivery for r in release(ledger, 50)]
    assert len(first) == 50
    assert single.deliveries[0] in first[:3]
    assert {p.deliveries[0] for p in small} <= set(first[:8])


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING])
def test_what_waits_is_found_in_whatever_workspace(ledger: Ledger, state: State) -> None:
    accounts = [ledger.account(ledger.workspace()) for _ in range(4)]
    posts = [ledger.post([account], state) for account in reversed(accounts)]
    assert {r.delivery for r in release(ledger)} == {p.deliveries[0] for p in posts}
    assert ledger.do(store.list_due_platforms) == []


def test_only_what_goes_to_the_platform_that_is_asked_for(ledger: Ledger) -> None:
    """The others may be paused, or have enough before them."""
    workspace = ledger.workspace()
    other = ledger.post([ledger.account(workspace, Platform.PINTEREST)], platform=Platform.PINTEREST)
    mine = ledger.post([ledger.account(workspace)])
    assert [r.delivery for r in release(ledger)] == mine.deliveries
    assert ledger.states(other) == [State.SCHEDULED]


def test_what_is_not_due_takes_nobodys_place_in_a_batch(ledger: Ledger) -> None:
    due = ledger.posts(2, [ledger.account(ledger.workspace())])
    ledger.fresh(due=HOUR)
    assert {r.delivery for r in release(ledger, 2)} == {p.deliveries[0] for p in due}


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING])
def test_a_backlog_is_what_should_have_gone_out_that_long_ago(ledger: Ledger, state: State) -> None:
    def has_backlog(platform: str = "tiktok") -> bool:
        return ledger.do(store.has_backlog, platform, HOUR)

    ledger.fresh(state, due=-HOUR / 2)
    ledger.fresh(State.FAILED, due=-2 * HOUR)
    assert not has_backlog()
    ledger.fresh(state, due=-2 * HOUR)
    assert has_backlog()
    assert not has_backlog("pinterest")


def test_old_and_new_can_be_told_apart(ledger: Ledger) -> None:
    old, new = ledger.fresh(due=-2 * HOUR), ledger.fresh()
    assert [r.delivery for r in ledger.do(store.release, "tiktok", 9, LEASE, older=HOUR)] == old.deliveries
    assert ledger.states(new) == [State.SCHEDULED]
    old = ledger.fresh(due=-2 * HOUR)
    assert [r.delivery for r in ledger.do(store.release, "tiktok", 9, LEASE, younger=HOUR)] == new.deliveries
    assert ledger.states(old) == [State.SCHEDULED]


@pytest.mark.parametrize("limit", [1, 7])
def test_a_batch_is_no_larger_than_asked(ledger: Ledger, limit: int) -> None:
    workspace = ledger.workspace()
    ledger.posts(20, [ledger.account(workspace)])
    assert len(release(ledger, limit)) == limit
    with ledger.database.begin() as c:
        assert store.count_queued(c, "tiktok") == limit
        assert store.count_queued(c, "instagram") == 0


def test_four_at_once_release_each_exactly_once(ledger: Ledger) -> None:
    workspaces = [ledger.workspace() for _ in range(4)]
    posts = [p for w in workspaces for p in ledger.posts(50, [ledger.account(w)])]
    retried = [p for w in workspaces for p in ledger.posts(10, [ledger.account(w)], State.RETRYING)]
    released: Counter[UUID] = Counter()
    while sum(released.values()) < len(posts) + len(retried):
        for messages in together(*[lambda: release(ledger, 30)] * 4):
            released.update(r.delivery for r in messages)
        assert max(released.values()) == 1
    assert set(released) == {p.deliveries[0] for p in posts + retried}
    assert release(ledger) == []
    with ledger.database.begin() as c:
        found = c.exec_driver_sql(
            "SELECT count(*) AS n FROM moves WHERE target = 'queued' GROUP BY delivery_id"
        ).all()
    assert [r.n for r in found] == [1] * len(released)


def test_a_retried_one_changes_what_its_post_says(ledger: Ledger) -> None:
    post = ledger.fresh(State.RETRYING)
    assert ledger.status(post) == "retry"
    assert len(release(ledger)) == 1
    assert ledger.status(post) == "pending"
    two = ledger.fresh(accounts=2)
    ledger.put(two, State.RETRYING)
    ledger.change(two.deliveries[1], "next_at = now() + interval '1 hour'")
    assert len(release(ledger)) == 1
    assert ledger.status(two) == "pending", "the other one still waits, but this one goes on"


def test_only_the_posts_of_what_is_retried_are_locked(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    scheduled, retried, later = (
        ledger.post([account], state) for state in (State.SCHEDULED, State.RETRYING, State.RETRYING)
    )
    ledger.change(later.deliveries[0], "next_at = now() + interval '1 hour'")
    with ledger.database.begin() as c:
        assert len(store.release(c, "tiktok", 10, LEASE)) == 2
        free = ledger.do(rows, "SELECT id FROM posts FOR UPDATE SKIP LOCKED")
    assert {r.id for r in free} == {scheduled.id, later.id}
    assert ledger.states(retried) == [State.QUEUED]


def test_a_retried_one_whose_post_is_being_edited_is_left_for_the_next_time(ledger: Ledger) -> None:
    post = ledger.fresh(State.RETRYING)
    other = ledger.fresh()
    with ledger.database.begin() as editing:
        editing.exec_driver_sql("SELECT 1 FROM posts WHERE id = %(id)s FOR UPDATE", {"id": post.id})
        assert [r.delivery for r in release(ledger)] == other.deliveries
    assert [r.delivery for r in release(ledger)] == post.deliveries


@pytest.mark.parametrize(
    "meanwhile",
    [
        "state = 'publishing', fence = 1, lease_until = now() + interval '3 minutes'",
        "state = 'cancelled'",
        "next_at = now() + interval '1 hour'",
    ],
)
def test_what_somebody_changes_between_choosing_and_releasing_is_left_as_it_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Another process may be releasing its post, and may have sent it."""
    changed, mine = ledger.fresh(State.RETRYING, accounts=2).deliveries

    def interrupted(c: Connection, sql: str, **values: object) -> list[object]:
        found = rows(c, sql, **values)
        if sql == store._CANDIDATES:
            ledger.change(changed, meanwhile)
        return found

    monkeypatch.setattr(store, "rows", interrupted)
    assert [r.delivery for r in release(ledger)] == [mine]


def test_pauses_hold_back_and_let_go(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account, other = ledger.account(workspace), ledger.account(ledger.workspace())
    scopes: list[tuple[Scope, str, int]] = [
        ("all", "", 0),
        ("platform", "tiktok", 0),
        ("workspace", str(workspace), 1),
        ("account", str(account), 1),
    ]
    for scope, target, through in scopes:
        ledger.post([account])
        ledger.post([other])
        ledger.do(pause, scope, target, "trouble")
        assert len(release(ledger)) == through, scope
        ledger.do(lift, scope, target)
        assert len(release(ledger)) == 2 - through, scope


def test_a_crowd_of_one_platform_hides_no_other(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    ledger.posts(50, [ledger.account(workspace)], due=-HOUR)
    ledger.fresh(platform=Platform.PINTEREST)
    ledger.fresh(platform=Platform.LINKEDIN, due=HOUR)
    assert set(ledger.do(store.list_due_platforms)) == {"tiktok", "pinterest"}


def test_the_looks_for_what_is_due_are_answered_from_an_index(ledger: Ledger) -> None:
    """With a hundred thousand rows that wait, a sweep a second must not read them all."""
    workspace = ledger.workspace()
    ledger.posts(3000, [ledger.account(workspace)], due=HOUR)
    with ledger.database.begin() as c:
        c.exec_driver_sql("ANALYZE deliveries")
        c.exec_driver_sql("ANALYZE posts")

    def looks(c: Connection) -> None:
        assert store.list_due_platforms(c) == []
        assert store.list_late(c, 500) == []
        assert store.list_due_slots(c, timedelta(seconds=2), timedelta(seconds=0.1)) == []

    assert _rows_scanned(ledger, looks) == 0
    assert _rows_scanned(ledger, lambda c: c.exec_driver_sql("SELECT count(caption) FROM posts")) == 3000


def _rows_scanned(ledger: Ledger, job: Callable[[Connection], object]) -> int:
    """Rows that scans of whole tables read meanwhile."""
    before = _counter(ledger)
    with ledger.database.begin() as c:
        job(c)
        c.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    return _counter(ledger) - before


def _counter(ledger: Ledger) -> int:
    with ledger.database.begin() as c:
        c.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    with ledger.database.begin() as c:
        found = c.exec_driver_sql(
            "SELECT sum(seq_tup_read) AS n FROM pg_stat_user_tables WHERE relname IN ('deliveries', 'posts')"
        ).first()
    assert found is not None
    return int(found.n or 0)


def dispatch(c: Connection) -> list[Message]:
    return dispatch_looks(c, 10, LEASE)


def redispatch(c: Connection) -> list[Message]:
    return redispatch_lost(c, 10, LEASE, empty=["tiktok"], quiet=NOW)


def redispatch_looks(c: Connection) -> list[Message]:
    return redispatch_lost_looks(c, 10, LEASE, claim_lease=HOUR, quiet=NOW)


@pytest.mark.parametrize(
    ("state", "job", "change"),
    [
        (State.SCHEDULED, lambda c: store.release(c, "tiktok", 10, LEASE), "updated_at = now()"),
        (State.UNKNOWN, dispatch, "updated_at = now()"),
        (State.QUEUED, redispatch, "updated_at = now()"),
        (State.UNKNOWN, redispatch_looks, "lease_until = now() + interval '2 hours'"),
    ],
    ids=["release", "dispatch", "redispatch", "redispatch_looks"],
)
def test_what_somebody_has_locked_is_passed_over(
    ledger: Ledger, state: State, job: Callable[[Connection], list[Message]], change: str
) -> None:
    locked, free = ledger.fresh(state), ledger.fresh(state)
    for post in (locked, free):
        ledger.change(post.deliveries[0], change)

    def run() -> list[Message]:
        return ledger.do(job)

    messages = ledger.while_locked(locked.deliveries[0], run)
    assert [r.delivery for r in messages] == free.deliveries


# --- slots -----------------------------------------------------------------------------------------------------------


def test_slots_are_those_in_which_something_becomes_due_within_the_horizon(ledger: Ledger) -> None:
    """Of each state two come up in the same moment, one has come, and one is not near."""
    account, width, expected = ledger.account(ledger.workspace()), timedelta(seconds=7), []
    for n, state in enumerate(State, 1):
        posts = ledger.posts(4, [account], state)
        for post, when in zip(posts, (60 * n, 60 * n, -1, 3600), strict=True):
            ledger.change(post.deliveries[0], "next_at = now() + make_interval(secs => :when)", when=when)
        at = ledger.delivery(posts[0].deliveries[0]).next_at
        ledger.change(posts[1].deliveries[0], "next_at = :at", at=at)
        expected += [slot_end(at, width)] if state in WAITING | LOOKED_AT else []
    assert ledger.do(store.list_due_slots, timedelta(minutes=30), width) == sorted(expected)


def test_of_more_slots_than_are_rung_at_once_the_next_ones_are(ledger: Ledger) -> None:
    ledger.posts(1100, [ledger.account(ledger.workspace())])
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            """UPDATE deliveries SET next_at = now() + make_interval(secs => 2000 - n) FROM (
                   SELECT id, row_number() OVER (ORDER BY id) AS n FROM deliveries) x WHERE x.id = deliveries.id"""
        )
        c.exec_driver_sql("ANALYZE deliveries")
        ends = store.list_due_slots(c, HOUR, timedelta(seconds=1))
        [last] = rows(c, "SELECT now() + interval '1901 seconds' AS at")
    assert len(ends) == 1000
    assert ends == sorted(ends)
    assert max(ends) < last.at


# --- lost messages ---------------------------------------------------------------------------------------------------


def test_a_lost_ring_is_rung_again_and_the_old_message_still_works(ledger: Ledger) -> None:
    post, taken = ledger.fresh(State.QUEUED), ledger.fresh(State.QUEUED)
    with ledger.database.begin() as c:
        assert redispatch_lost(c, 10, LEASE) == []
        assert redispatch_lost(c, 10, LEASE, empty=["tiktok"]) == [], "they were dispatched just now"
        assert len(redispatch_lost(c, 1, LEASE, empty=["tiktok"], quiet=NOW)) == 1
    ledger.change(post.deliveries[0], "lease_until = now() - interval '1 second'")
    ledger.claimed(taken)
    ledger.change(taken.deliveries[0], "lease_until = now() - interval '1 second'")
    with ledger.database.begin() as c:
        assert redispatch_lost(c, 10, LEASE) == [
            Message(delivery=post.deliveries[0], platform="tiktok", generation=0, fence=0)
        ]
        assert redispatch_lost(c, 10, LEASE) == []


def test_looks_that_are_due_are_rung_once_and_again_when_the_ring_was_lost(ledger: Ledger) -> None:
    due = [ledger.fresh(s) for s in (State.PREPARING, State.PROCESSING, State.UNKNOWN)]
    later = ledger.fresh(State.UNKNOWN)
    ledger.change(later.deliveries[0], "next_at = now() + interval '1 hour'")
    ledger.fresh(State.BLOCKED)
    messages = ledger.do(dispatch_looks, 10, LEASE)
    assert {(r.delivery, r.fence) for r in messages} == {(p.deliveries[0], 2) for p in due}
    assert ledger.do(dispatch_looks, 10, LEASE) == []
    ledger.change(due[0].deliveries[0], "lease_until = now() - interval '1 second'")
    assert [(r.delivery, r.fence) for r in ledger.do(dispatch_looks, 10, LEASE)] == [
        (due[0].deliveries[0], 3)
    ]


def test_looks_whose_rings_were_lost_are_rung_again_but_not_those_that_somebody_took(ledger: Ledger) -> None:
    dispatched = [ledger.fresh(s) for s in (State.PREPARING, State.PROCESSING, State.UNKNOWN)]
    taken, later, done = ledger.fresh(State.UNKNOWN), ledger.fresh(State.UNKNOWN), ledger.fresh(State.BLOCKED)
    long, short = "now() + interval '5 minutes'", "now() + interval '2 minutes'"
    for post in (*dispatched, later, done):
        ledger.change(post.deliveries[0], f"lease_until = {long}")
    ledger.change(taken.deliveries[0], f"lease_until = {short}")
    ledger.change(later.deliveries[0], "next_at = now() + interval '1 hour'")
    holding = timedelta(minutes=3)
    with ledger.database.begin() as c:
        assert redispatch_lost_looks(c, 10, LEASE, claim_lease=holding) == [], "they were dispatched just now"
        assert redispatch_lost_looks(c, 10, LEASE, claim_lease=timedelta(minutes=9), quiet=NOW) == []
        [first] = redispatch_lost_looks(c, 1, LEASE, claim_lease=holding, quiet=NOW)
    others = ledger.do(redispatch_lost_looks, 10, LEASE, claim_lease=holding, quiet=NOW)
    assert {r.delivery for r in (first, *others)} == {p.deliveries[0] for p in dispatched}
    assert {r.fence for r in others} <= {2, 3}
    assert first.fence == 2, "an earlier message for the same look finds nothing"
    found = ledger.delivery(others[-1].delivery)
    assert found.lease_until - found.updated_at == LEASE
