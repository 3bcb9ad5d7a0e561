"""Gauges name what is late, blocked, paused or about to end, and read few rows among many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import Reason, State
from pipeline.store.checks import checks
from pipeline.store.counters import gauges
from pipeline.store.database import row
from pipeline.store.deliveries import dead_letters
from pipeline.store.deliveries.pauses import pause
from tests.pipeline.store.ledger import HOUR, Ledger, Post
from tests.pipeline.store.plans import count_read

MANY = 1000


@pytest.fixture
def post(ledger: Ledger) -> Post:
    """Due an hour ago, and released by nobody."""
    made = ledger.fresh()
    ledger.change(
        made.deliveries[0], "due_at = now() - interval '1 hour', next_at = now() - interval '1 hour'"
    )
    return made


def overdue(ledger: Ledger) -> dict[str, int]:
    found = ledger.do(gauges.list_overdue)
    assert all(3600 <= one.seconds < 7200 for one in found)
    return {one.held_for: one.number for one in found}


def find_oldest(ledger: Ledger) -> float:
    return gauges.find_oldest_overdue(ledger.do(gauges.list_overdue))["tiktok"]


def remember(ledger: Ledger, post: Post, state: State, reason: str = "") -> None:
    """Store what the export of its moves would remember of a delivery."""
    ledger.do(
        row,
        """INSERT INTO counted_deliveries (delivery_id, platform, state, reason, since, due_at, attempts)
           SELECT id, platform, :state, :reason, now() - interval '2 hours', due_at, 0 FROM deliveries
           WHERE id = :id RETURNING delivery_id""",
        id=post.deliveries[0],
        state=state,
        reason=reason,
    )


# --- overdue ---------------------------------------------------------------------------------------------------------


def test_what_nobody_released_is_backlog_and_what_is_due_later_is_not_overdue(
    ledger: Ledger, post: Post
) -> None:
    ledger.fresh(due=HOUR)
    ledger.fresh(due=timedelta(seconds=0))
    assert overdue(ledger) == {"backlog": 1}


def test_what_waits_in_a_queue_is_backlog_until_it_is_armed(ledger: Ledger, post: Post) -> None:
    ledger.put(post, State.QUEUED)
    assert overdue(ledger) == {"backlog": 1}
    ledger.put(post, State.PUBLISHING)
    assert overdue(ledger) == {"": 1}
    ledger.change(post.deliveries[0], "armed_at = now()")
    assert overdue(ledger) == {}


def pause_workspace(ledger: Ledger, post: Post) -> None:
    ledger.do(pause, "workspace", str(post.workspace), "because")


def close_epoch(ledger: Ledger, _: Post) -> None:
    ledger.do(row, "UPDATE mark SET held_at = now(), held_why = 'declared' RETURNING n")


def wait_for_check(ledger: Ledger, post: Post) -> None:
    ledger.put(post, State.ACCEPTED)
    remember(ledger, post, State.ACCEPTED)


def back_off(ledger: Ledger, post: Post) -> None:
    ledger.put(post, State.RETRYING)
    ledger.change(post.deliveries[0], "next_at = now() + interval '5 minutes'")
    remember(ledger, post, State.RETRYING)


def hold(ledger: Ledger, post: Post) -> None:
    ledger.change(post.deliveries[0], "next_at = now() + interval '5 minutes', held_for = 'daily_quota'")
    remember(ledger, post, State.SCHEDULED)


def limit_rate(ledger: Ledger, post: Post) -> None:
    ledger.put(post, State.RETRYING)
    ledger.change(post.deliveries[0], "next_at = now() + interval '5 minutes', held_for = 'rate'")
    remember(ledger, post, State.RETRYING)


@pytest.mark.parametrize(
    ("arrange", "held_for", "is_intended"),
    [
        (pause_workspace, "paused", True),
        (close_epoch, "epoch", False),
        (lambda ledger, _: ledger.open_breaker(), "breaker", False),
        (wait_for_check, "checking", False),
        (back_off, "retry", False),
        (hold, "daily_quota", True),
        (limit_rate, "rate", True),
    ],
)
def test_each_reason_is_told_and_an_intended_hold_is_not_late(
    ledger: Ledger, post: Post, arrange: Callable[[Ledger, Post], None], held_for: str, *, is_intended: bool
) -> None:
    arrange(ledger, post)
    assert overdue(ledger) == {held_for: 1}
    if is_intended:
        assert find_oldest(ledger) == 0


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING, State.QUEUED, State.PUBLISHING])
def test_a_delivery_is_late_from_the_end_of_its_hold_or_processing(
    ledger: Ledger, post: Post, state: State
) -> None:
    ledger.put(post, state)
    ended = "next_at = now() - interval '20 seconds', held_for = NULL"
    ledger.change(post.deliveries[0], ended)
    assert 20 <= find_oldest(ledger) < 300
    ledger.change(post.deliveries[0], """error = '{"class": "RateLimited"}' """)
    assert 20 <= find_oldest(ledger) < 300
    ledger.change(post.deliveries[0], """error = '{"class": "Unavailable"}' """)
    assert find_oldest(ledger) >= 3600, "the wait after a failed try is lateness"


def test_a_paused_delivery_stays_paused_when_the_epoch_closes(ledger: Ledger, post: Post) -> None:
    ledger.put(post, State.PUBLISHED)
    states = (State.SCHEDULED, State.RETRYING, State.QUEUED)
    for state, next_at, held_for in product(states, ("-1 hour", "5 minutes"), (None, "slow_media")):
        paused = ledger.fresh(state)
        pause_workspace(ledger, paused)
        ledger.change(
            paused.deliveries[0],
            """due_at = now() - interval '1 hour', next_at = now() + CAST(:after AS interval),
               held_for = :held_for""",
            after=next_at,
            held_for=held_for,
        )
        remember(ledger, paused, state)
    close_epoch(ledger, post)
    ledger.open_breaker()
    assert overdue(ledger) == {"paused": 12}
    assert find_oldest(ledger) == 0


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_oldest_unknown_and_blocked_one_is_told(ledger: Ledger) -> None:
    for state, reason in ((State.UNKNOWN, ""), (State.BLOCKED, Reason.IS_IT_LIVE), (State.FAILED, "")):
        remember(ledger, ledger.fresh(), state, reason)
    found = ledger.do(gauges.list_oldest)
    assert {(one.platform, one.state, one.reason) for one in found} == {
        ("tiktok", "unknown", ""),
        ("tiktok", "blocked", "is_it_live"),
    }
    assert all(7200 <= one.seconds < 9000 for one in found)


def test_grants_that_end_are_counted_by_span_and_pauses_by_scope(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    for days in (0.5, 3, 20, 100):
        account = ledger.account(workspace, Platform.LINKEDIN)
        ledger.update(
            "accounts",
            account,
            "renewable = false, expires_at = now() + CAST(:left AS interval)",
            left=timedelta(days=days),
        )
    with ledger.database.begin() as c:
        pause(c, "platform", "tiktok", "because")
        counts = gauges.count_grants_ending(c)
        assert gauges.count_paused(c) == {"all": 0, "platform": 1, "workspace": 0, "account": 0}
    linkedin = {span: n for (platform, span), n in counts.items() if platform == "linkedin"}
    assert linkedin == {"1d": 1, "7d": 2, "30d": 3}


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def many(ledger: Ledger) -> Ledger:
    """Many deliveries that wait for their time or are published, and a few that are overdue or unknown."""
    account = ledger.account(ledger.workspace())
    ledger.posts(MANY, [account], due=HOUR)
    ledger.posts(MANY, [account], due=-HOUR)
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            """UPDATE deliveries SET state = 'published', published_at = now() WHERE due_at < now()"""
        )
        c.exec_driver_sql(
            """INSERT INTO counted_deliveries (delivery_id, platform, state, reason, since, due_at, attempts)
               SELECT id, platform, 'failed', '', now(), due_at, 1 FROM deliveries"""
        )
    for _ in range(5):
        late = ledger.post([account], due=-HOUR)
        remember(ledger, late, State.UNKNOWN)
    ledger.analyze("deliveries, posts, accounts, counted_deliveries")
    return ledger


def test_no_gauge_reads_what_it_does_not_show(many: Ledger) -> None:
    """Nor during an outage, or with very many dead letters, more than it counts."""
    values = {"platforms": list(Platform), "n": gauges.LIMIT, "after": gauges.OVERDUE_AFTER}
    assert count_read(many, gauges._OVERDUE, **values) < 300
    assert count_read(many, gauges._OLDEST, platforms=list(Platform)) < 100
    assert count_read(many, gauges._GRANTS_ENDING, days=30) < 10
    with many.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, at)
               SELECT id, 'publish', 'publishing', 'published', 0, 1, now() - interval '2 minutes'
               FROM deliveries WHERE state = 'published'"""
        )
        c.exec_driver_sql(
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
               SELECT id, 'status', 'unknown', 'failed', 0, 1 FROM deliveries WHERE state = 'scheduled' LIMIT 20"""
        )
        c.exec_driver_sql(
            "UPDATE deliveries SET next_at = now() - interval '1 minute', due_at = now() - interval '1 minute' "
            "WHERE state = 'scheduled' AND due_at > now()"
        )
    many.analyze("deliveries, moves")
    assert many.do(gauges.count_settled_lately) == {("tiktok", "failed"): 20}
    assert count_read(many, gauges._SETTLED_LATELY, n=100) < 300
    assert count_read(many, gauges._OVERDUE, **values) < 6 * gauges.LIMIT
    [found] = many.do(gauges.list_overdue)
    assert (found.held_for, found.number) == ("backlog", gauges.LIMIT)
    assert found.seconds >= 3600
    with many.database.begin() as c:
        c.exec_driver_sql("UPDATE deliveries SET state = 'failed', error = '{}' WHERE state = 'scheduled'")
    many.analyze("deliveries")
    assert count_read(many, dead_letters._SOME, n=100) < 300
    assert many.do(dead_letters.count_some, 100) == {("tiktok", ""): 100}
    assert many.do(dead_letters.count_some, 2 * MANY) == {("tiktok", ""): MANY + 5}


def test_a_faulty_check_is_found_among_very_many_without_reading_them(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    with ledger.database.begin() as c:
        for n, fault, wait in ((MANY, None, "0 s"), (1, "OSError", "5 min")):
            row(
                c,
                """INSERT INTO checks (id, workspace_id, purpose, url, url_sha256, fault, next_at)
                   SELECT gen_random_uuid(), :w, 'video', 'https://media.example/', sha256(random()::text::bytea),
                          CAST(:fault AS text), now() + CAST(:wait AS interval)
                   FROM generate_series(1, :n) RETURNING id""",
                w=workspace,
                n=n,
                fault=fault,
                wait=wait,
            )
    ledger.analyze("checks")
    assert ledger.do(checks.count_faults) == 1
    assert count_read(ledger, checks._FAULTS, n=100) < 110
