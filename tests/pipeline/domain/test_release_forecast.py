"""The release run ahead: order, gaps, quotas of accounts and of our app, pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from adapters.contract import Platform
from pipeline.domain.release_forecast import AccountLimits, Holding, Quota, Waiting, run_ahead

NOW = datetime(2031, 5, 4, 10, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
FREE = AccountLimits(gap=timedelta(0), quotas={})


def wait(minutes: float, account: UUID = ONE, *, drafts: bool = False, hold: Holding = "") -> Waiting:
    due = NOW + timedelta(minutes=minutes)
    return Waiting(account, Platform.YOUTUBE, due, drafts=drafts, hold=hold)


def run(
    waiting: list[Waiting], limits: AccountLimits | dict[UUID, AccountLimits], *sent: tuple[object, float]
) -> list[tuple[float | None, str]]:
    by_account = limits if isinstance(limits, dict) else {ONE: limits, TWO: limits}
    before = [(scope, NOW + timedelta(minutes=minutes)) for scope, minutes in sent]
    found = {one.waiting: one for one in run_ahead(waiting, before, by_account, NOW)}
    return [
        (None if (at := found[one].at) is None else (at - NOW).total_seconds() / 60, found[one].why)
        for one in waiting
    ]


def test_without_limits_each_goes_out_at_its_time_and_what_is_overdue_now() -> None:
    assert run([wait(5), wait(-30), wait(0)], FREE) == [(5, ""), (0, ""), (0, "")]


def test_what_follows_too_fast_waits_for_the_gap() -> None:
    limits = AccountLimits(gap=timedelta(minutes=2), quotas={})
    assert run([wait(0), wait(1), wait(1.5), wait(9)], limits) == [(0, ""), (2, "pace"), (4, "pace"), (9, "")]
    assert run([wait(0), wait(0, TWO)], limits) == [(0, ""), (0, "")], "an account waits for no other"


def test_what_does_not_fit_in_24_hours_is_carried_on() -> None:
    limits = AccountLimits(gap=timedelta(0), quotas={False: Quota(ONE, 2)})
    day = 24 * 60
    found = run([wait(n) for n in range(5)], limits, (ONE, -60))
    assert found == [
        (0, ""),
        (day - 60, "quota"),
        (day, "quota"),
        (2 * day - 60, "quota"),
        (2 * day, "quota"),
    ]


def test_drafts_have_a_quota_of_their_own_and_share_the_gap() -> None:
    quotas = {False: Quota((ONE, False), 1), True: Quota((ONE, True), 1)}
    found = run(
        [wait(0), wait(0, drafts=True), wait(1)], AccountLimits(gap=timedelta(minutes=1), quotas=quotas)
    )
    assert found == [(0, ""), (1, "pace"), (24 * 60, "quota")]


def test_a_quota_of_our_app_is_shared_by_its_accounts() -> None:
    limits = AccountLimits(gap=timedelta(0), quotas={False: Quota("youtube", 2)})
    found = run([wait(0), wait(1, TWO), wait(2), wait(3, TWO)], limits)
    assert found == [(0, ""), (1, ""), (24 * 60, "quota"), (24 * 60 + 1, "quota")]


def test_what_a_pause_holds_has_no_time_and_takes_no_place() -> None:
    limits = AccountLimits(gap=timedelta(minutes=1), quotas={False: Quota(ONE, 1)})
    found = run([wait(0, hold="pause"), wait(0), wait(0, hold="approval")], limits)
    assert found == [(None, "pause"), (0, ""), (None, "approval")]


def test_ten_thousand_posts_over_a_quota_are_run_through_in_order() -> None:
    limits = AccountLimits(gap=timedelta(seconds=10), quotas={False: Quota(ONE, 15)})
    found = run([wait(n / 100) for n in range(10_000)], limits)
    times = [at for at, _ in found if at is not None]
    assert times == sorted(times)
    assert times[-1] > (10_000 / 15 - 2) * 24 * 60
