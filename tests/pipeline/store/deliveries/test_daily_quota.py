from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from adapters.contract import Platform
from pipeline.domain.delivery import Mover, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.deliveries.arm import arm as store_arm
from pipeline.store.deliveries.daily_quota import (
    DailyQuota,
    compute_quota_wait,
    count_planned,
    count_sent,
    lock_daily_quota,
)
from pipeline.store.deliveries.settle import settle
from tests.pipeline.store.ledger import HOUR, Ledger, together

DAY = timedelta(days=1)
ONE, MANY, APP = DailyQuota(1), DailyQuota(100), DailyQuota(100, "app")


def test_room_is_what_a_rolling_day_leaves(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    held = [shared.armed(shared.post([account])) for _ in range(3)]
    with shared.database.begin() as c:
        for n, one in enumerate(held):
            c.exec_driver_sql(
                "UPDATE attempts SET armed_at = now() - %(ago)s WHERE delivery_id = %(id)s",
                {"ago": timedelta(hours=23 - n), "id": one.id},
            )
        assert compute_quota_wait(c, account, DailyQuota(4)) == timedelta(0)
        wait = compute_quota_wait(c, account, DailyQuota(3))
        assert timedelta(minutes=59) < wait <= HOUR, "until the oldest of three is a day old"
        assert compute_quota_wait(c, account, DailyQuota(2)) > HOUR, "then two more have to go"
        assert count_sent(c, account, ONE) == 3
        c.exec_driver_sql(
            "UPDATE attempts SET armed_at = armed_at - interval '1 hour' WHERE account_id = %(a)s",
            {"a": account},
        )
        assert compute_quota_wait(c, account, DailyQuota(3)) == timedelta(0)
        assert count_sent(c, account, ONE) == 2
        assert compute_quota_wait(c, shared.account(shared.workspace()), ONE) == timedelta(0)


def test_a_refused_attempt_took_nothing_but_an_unknown_one_may_have(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    refused, _unknown = (shared.armed(shared.post([account])) for _ in range(2))
    shared.claimed(shared.post([account]))  # never armed
    verdict = Verdict(state=State.RETRYING, disarm=True, closes=Outcome.REFUSED)
    shared.do_once(settle, shared.vault, refused, verdict, Mover.PUBLISH, origin=State.PUBLISHING)
    with shared.database.begin() as c:
        assert count_sent(c, account, ONE) == 1
        assert compute_quota_wait(c, account, DailyQuota(2)) == timedelta(0)
        assert compute_quota_wait(c, account, DailyQuota(1)) > timedelta(0)


def test_what_is_planned_is_what_waits_for_its_time_and_what_may_have_been_sent(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    made = {state: shared.post([account], state, due=HOUR) for state in State}

    def planned(ahead: timedelta) -> int:
        with shared.database.begin() as c:
            now = c.exec_driver_sql("SELECT now() AS now").one().now
            return count_planned(c, account, now + ahead, MANY)

    soon = HOUR + timedelta(minutes=1)
    waits = [State.ACCEPTED, State.SCHEDULED, State.RETRYING]
    armed = [State.PROCESSING, State.UNKNOWN]
    assert planned(soon) == len(waits) + len(armed)
    assert planned(HOUR / 2) == len(armed), "none of it is due by then"
    assert planned(DAY + HOUR / 2) == len(waits), "what was sent is more than a day ago by then"
    assert planned(DAY + soon) == 0
    with shared.database.begin() as c:
        c.exec_driver_sql(
            "UPDATE attempts SET closed_at = now(), outcome = 'refused' WHERE delivery_id = %(id)s",
            {"id": made[State.UNKNOWN].deliveries[0]},
        )
    assert planned(soon) == len(waits) + 1


def test_a_count_over_the_quota_ends_soon_after(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    shared.posts(5, [account], due=HOUR)
    for _ in range(5):
        shared.armed(shared.post([account]))
    with shared.database.begin() as c:
        now = c.exec_driver_sql("SELECT now() AS now").one().now
        assert count_planned(c, account, now + HOUR * 2, MANY) == 10
        assert count_planned(c, account, now + HOUR * 2, ONE) == 4, "two of each part"


def test_an_app_shares_one_day_over_all_its_accounts(shared: Ledger) -> None:
    one, two = (shared.account(shared.workspace(), Platform.YOUTUBE) for _ in range(2))
    other = shared.account(shared.workspace(), Platform.PINTEREST)
    shared.armed(shared.post([one]))
    before = shared.do(count_sent, two, APP)
    for account in (one, two, other):
        shared.armed(shared.post([account]))
    shared.post([two], due=HOUR)
    with shared.database.begin() as c:
        now = c.exec_driver_sql("SELECT now() AS now").one().now
        assert count_sent(c, one, APP) == count_sent(c, two, APP) == before + 2
        assert (count_sent(c, one, ONE), count_sent(c, two, ONE)) == (2, 1)
        assert compute_quota_wait(c, two, DailyQuota(before + 3, "app")) == timedelta(0)
        assert compute_quota_wait(c, two, DailyQuota(before + 2, "app")) > timedelta(0)
        assert compute_quota_wait(c, two, DailyQuota(2)) == timedelta(0)
        soon = now + HOUR + timedelta(minutes=1)
        assert count_planned(c, one, soon, APP) - count_planned(c, one, now, APP) >= 1
        assert count_planned(c, two, soon, MANY) == 2


def test_counted_and_armed_under_one_lock_no_worker_overshoots(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    waiting = [shared.claimed(shared.post([account])) for _ in range(8)]

    def arm(nth: int) -> datetime | None:
        with shared.database.begin() as c:
            lock_daily_quota(c, account)
            if compute_quota_wait(c, account, DailyQuota(3)):
                return None
            return store_arm(c, shared.vault, waiting[nth], {}, HOUR)

    armed = together(*(lambda n=n: arm(n) for n in range(len(waiting))))
    assert len([moment for moment in armed if moment is not None]) == 3
    assert shared.do(count_sent, account, ONE) == 3


def test_planned_drafts_and_planned_posts_are_counted_apart(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    drafts = shared.posts(2, [account], due=HOUR)
    shared.posts(3, [account], due=HOUR)
    with shared.database.begin() as c:
        for draft in drafts:
            c.execute(text("UPDATE deliveries SET inbox_draft = true WHERE post_id = :i"), {"i": draft.id})
        now = c.exec_driver_sql("SELECT now() AS now").one().now
        soon = now + HOUR + timedelta(minutes=1)
        assert count_planned(c, account, soon, DailyQuota(1, drafts=True)) == 2
        assert count_planned(c, account, soon, MANY) == 3
