"""The health of the platforms and their circuit breakers: what opens one, what closes it, who passes it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.store.database import row, rows
from pipeline.store.deliveries import platform_health as health
from tests.pipeline.store.ledger import Ledger

P = Platform.PINTEREST
MINUTE = timedelta(minutes=1)


def is_open(ledger: Ledger) -> bool:
    return P in ledger.do_once(health.list_open_platforms)


def fail(ledger: Ledger, account: UUID, workspace: UUID, times: int = 1) -> list[bool]:
    return [ledger.do(health.record_failure, P, account, workspace, probe=MINUTE) for _ in range(times)]


def answer(ledger: Ledger) -> bool:
    return ledger.do(health.record_answer, P)


def change(ledger: Ledger, assignments: str, platform: Platform = P) -> None:
    sql = f"UPDATE platform_health SET {assignments} WHERE platform = :p RETURNING platform"  # noqa: S608  of the tests
    ledger.do(row, sql, p=platform)


@pytest.fixture
def accounts(ledger: Ledger) -> list[tuple[UUID, UUID]]:
    """Two accounts of one workspace and two of another."""
    workspaces = [ledger.workspace(), ledger.workspace()]
    return [(ledger.account(w, P), w) for w in (workspaces[0], workspaces[0], workspaces[1], workspaces[1])]


def test_three_accounts_of_two_workspaces_open_it(ledger: Ledger, accounts: list[tuple[UUID, UUID]]) -> None:
    third, (_, workspace) = ledger.account(accounts[0][1], P), accounts[2]
    with ledger.database.begin() as c:
        elsewhere = ledger.account(workspace, Platform.YOUTUBE)
        health.record_failure(c, Platform.YOUTUBE, elsewhere, workspace, probe=MINUTE)
    assert fail(ledger, *accounts[0], times=9) == [False] * 9, "one account proves nothing about the platform"
    assert fail(ledger, *accounts[1], times=9) == [False] * 9, "nor do two and one of another platform"
    assert fail(ledger, third, accounts[0][1]) == [False], "nor does one workspace"
    assert fail(ledger, *accounts[2]) == [True]
    assert fail(ledger, *accounts[3]) == [False], "it is open already"
    assert is_open(ledger)


def test_an_answer_in_between_is_proof_that_the_platform_works(
    ledger: Ledger, accounts: list[tuple[UUID, UUID]]
) -> None:
    fail(ledger, *accounts[0], times=3)
    fail(ledger, *accounts[1])
    assert answer(ledger) is False
    assert fail(ledger, *accounts[2], times=3) == [False] * 3
    assert not is_open(ledger)
    fail(ledger, *accounts[0])
    assert fail(ledger, *accounts[1]) == [True]
    assert answer(ledger) is True
    assert not is_open(ledger)


def test_where_one_account_could_have_failed_three_failures_of_it_open_it(
    ledger: Ledger, accounts: list[tuple[UUID, UUID]]
) -> None:
    """The others are of another platform, or have ended."""
    for (account, workspace), status in zip(
        accounts[1:], ("inactive", "reconnect", "reconnect"), strict=True
    ):
        ledger.account(workspace, Platform.YOUTUBE)
        ledger.update("accounts", account, "status = :status", status=status)
    assert fail(ledger, *accounts[0], times=3) == [False, False, True]


def test_one_probe_a_minute_passes_it(ledger: Ledger, accounts: list[tuple[UUID, UUID]]) -> None:
    for account, workspace in accounts[:3]:
        fail(ledger, account, workspace)
    assert not ledger.do(health.take_probe, P, MINUTE), "the first one is due a minute after it opened"
    change(ledger, "probe_at = now()")
    with ledger.database.begin() as c:
        assert health.take_probe(c, P, MINUTE)
        assert not health.take_probe(c, P, MINUTE)
        [breaker] = [b for b in health.list_open_breakers(c) if b.platform == P]
        assert breaker.probe_at > breaker.opened_at
        assert "3 accounts of 2 workspaces" in breaker.why
    with ledger.database.begin() as c:
        assert health.close_breaker(c, P)
        assert not health.close_breaker(c, P)
        assert not health.take_probe(c, P, MINUTE)
    assert fail(ledger, *accounts[0]) == [False], "earlier failures do not count after a lift"


def test_a_sign_of_life_is_an_answer_of_the_last_minute_without_a_failure_since(
    ledger: Ledger, accounts: list[tuple[UUID, UUID]]
) -> None:
    def is_alive() -> bool:
        return ledger.do_once(health.has_sign_of_life, P)

    assert not is_alive(), "nothing is known"
    ledger.do(health.record_answer, Platform.YOUTUBE)
    assert not is_alive(), "another platform answered"
    answer(ledger)
    assert is_alive()
    fail(ledger, *accounts[0])
    assert not is_alive(), "a call has failed since"
    answer(ledger)
    assert is_alive()
    change(ledger, "opened_at = now(), probe_at = now(), why = 'x'")
    assert not is_alive(), "its breaker is open"
    answer(ledger)
    change(ledger, "answered_at = now() - interval '61 s', failed_at = '-infinity'")
    assert not is_alive(), "too long ago"


def read(ledger: Ledger, platform: Platform) -> tuple[list[object], list[object]]:
    with ledger.database.once() as c:
        health_rows = rows(c, "SELECT * FROM platform_health WHERE platform = :p", p=platform)
        failures = rows(
            c, "SELECT * FROM platform_failures WHERE platform = :p ORDER BY account_id", p=platform
        )
    return [tuple(r) for r in health_rows], [tuple(r) for r in failures]


def test_what_becomes_of_a_platform_leaves_the_others(
    ledger: Ledger, accounts: list[tuple[UUID, UUID]]
) -> None:
    other, third, workspace = Platform.YOUTUBE, Platform.LINKEDIN, accounts[0][1]
    theirs = ledger.account(workspace, other)
    with ledger.database.begin() as c:
        for one in (other, third):
            health.record_answer(c, one)
            assert not health.record_failure(c, one, theirs, workspace, probe=MINUTE)
            assert not health.record_failure(c, one, theirs, workspace, probe=MINUTE)
    change(ledger, "opened_at = now(), probe_at = now(), why = 'x'", third)
    before = read(ledger, other), read(ledger, third)
    for account, of in accounts:
        fail(ledger, account, of)
    delivery = ledger.fresh().deliveries[0]
    change(ledger, "probe_at = now()")
    with ledger.database.begin() as c:
        assert health.take_probe(c, P, MINUTE)
        health.set_probe(c, P, delivery)
        assert health.close_breaker(c, P)
        assert health.list_open_platforms(c) == {third}
    assert answer(ledger) is False
    assert (read(ledger, other), read(ledger, third)) == before
    with ledger.database.begin() as c:
        assert health.record_failure(c, other, theirs, workspace, probe=MINUTE), "three of its only account"
        health.set_probe(c, P, delivery)
        assert row(c, "SELECT probe_id FROM platform_health WHERE platform = :p", p=P) == (None,)
        assert not health.close_breaker(c, P), "that of the other platform is open"
        assert not health.take_probe(c, P, MINUTE)
    assert ledger.do(health.record_answer, P) is False


def test_failures_of_a_quarter_of_an_hour_ago_count_no_more(
    ledger: Ledger, accounts: list[tuple[UUID, UUID]]
) -> None:
    for account, workspace in accounts[:2]:
        fail(ledger, account, workspace, times=2)
    ledger.do(
        rows, "UPDATE platform_failures SET failed_at = now() - interval '16 minutes' RETURNING platform"
    )
    assert fail(ledger, *accounts[2], times=2) == [False, False]
    assert fail(ledger, *accounts[0]) == [False], "its own streak begins anew"
    assert fail(ledger, *accounts[1]) == [True]
