"""Refresh against the sandbox's token endpoints: what may get lost, and what becomes of the account."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from adapters.errors import AdapterError, CredentialsRevoked, Unavailable
from pipeline.accounts import refresh as credentials
from pipeline.accounts.refresh import refresh
from pipeline.maintenance.prepare_ahead import refresh_credentials
from pipeline.store.accounts.accounts import store_credentials
from pipeline.store.accounts.grants import list_due_refreshes
from tests.conftest import Engines
from tests.crash_table import Crashes, arm_failpoints, get_points
from tests.pipeline.accounts.consent_page import OAuthWorkspace
from tests.stack import Stack, until


@pytest.fixture
def home(stack: Stack) -> Iterator[OAuthWorkspace]:
    home = OAuthWorkspace.new(stack)
    yield home
    stack.control("DELETE", "faults")
    # what looks at all accounts sees the next test's
    home.sql("UPDATE accounts SET status = 'inactive' RETURNING id")


@pytest.fixture
def ann(home: OAuthWorkspace) -> UUID:
    """A TikTok account: its refresh tokens rotate, and an old one works until a new token was used."""
    return home.connect_tiktok(home.add_person("tiktok")).id


def asked(home: OAuthWorkspace, times: int = 9) -> Any:
    """Slows refreshes a little; the answer tells how many were made since."""
    fault = home.stack.control(
        "POST",
        "faults",
        {"platform": "tiktok", "step": "refresh", "fault": "latency", "delay_ms": 300, "times": times},
    )["id"]

    def made() -> int:
        [left] = [f["left"] for f in home.stack.control("GET", "faults") if f["id"] == fault]
        return times - int(left)

    return made


def facts(home: OAuthWorkspace, account: UUID) -> Any:
    return home.sql(
        "SELECT unanswered, refresh_rotates AS rotates, refresh_after, expires_at FROM accounts WHERE id = :id",
        id=account,
    )


def set_facts(home: OAuthWorkspace, account: UUID, changes: str) -> None:
    home.sql(f"UPDATE accounts SET {changes} WHERE id = :id RETURNING id", id=account)  # noqa: S608  of this file


def works(home: OAuthWorkspace, account: UUID) -> bool:
    """Whether the platform takes the stored token."""
    opened, _, _ = home.read_account(account)
    context = home.stack.context
    return bool(context.adapter(opened.platform, context.client()).discover(opened.credentials))


def test_two_processes_make_one_refresh(home: OAuthWorkspace, ann: UUID) -> None:
    made = asked(home)
    for name in ("one", "two"):
        home.stack.start(name, "tests.pipeline.accounts.refresh_worker", str(ann), "1")
    assert [home.stack.parts[name].wait(120) for name in ("one", "two")] == [0, 0]
    assert made() == 1
    assert home.read_account(ann)[1:] == (2, "active")
    assert works(home, ann)
    assert facts(home, ann).rotates is True


@pytest.mark.parametrize("point", get_points("around_a_refresh_costs_nobody_the_account"))
def test_a_crash_around_a_refresh_costs_nobody_the_account(
    home: OAuthWorkspace, ann: UUID, point: str, crashes: Crashes
) -> None:
    if point == "credentials.refused":
        home.stack.fault("tiktok", "refresh", "5xx")
    crashes.crash(home.stack.environment, point, "refresh", str(ann), 1)
    kept = 2 if point == "credentials.ended" else 1
    assert home.read_account(ann)[1:] == (kept, "active")
    if kept == 1:
        assert isinstance(refresh(home.stack.context, ann, 1), Unavailable), "its claim still holds"
        set_facts(home, ann, "refreshing_until = now() - interval '1 second'")
    assert refresh(home.stack.context, ann, 1) is None
    assert home.read_account(ann)[1:] == (2, "active")
    assert works(home, ann)
    assert facts(home, ann).unanswered == 0


@pytest.mark.parametrize("fault", ["drop", "effect-then-drop", "effect-then-garbage"])
def test_a_lost_answer_is_asked_for_once_more(home: OAuthWorkspace, ann: UUID, fault: str) -> None:
    home.stack.fault("tiktok", "refresh", fault)
    lost = refresh(home.stack.context, ann, 1)
    assert isinstance(lost, Unavailable)
    assert lost.retry_after == credentials.UNANSWERED_PAUSE
    assert facts(home, ann).unanswered == 1
    assert refresh(home.stack.context, ann, 1) is None
    assert home.read_account(ann)[1:] == (2, "active")
    assert works(home, ann)
    assert facts(home, ann).unanswered == 0


def twice_lost(home: OAuthWorkspace, account: UUID) -> None:
    home.stack.fault("tiktok", "refresh", "effect-then-drop", times=2)
    for _ in range(2):
        assert isinstance(refresh(home.stack.context, account, 1), Unavailable)


def test_after_a_second_lost_answer_a_person_is_asked(home: OAuthWorkspace, ann: UUID) -> None:
    twice_lost(home, ann)
    made = asked(home)
    error = refresh(home.stack.context, ann, 1)
    assert isinstance(error, CredentialsRevoked)
    assert error.code == "refresh_unanswered"
    assert made() == 0
    assert home.read_account(ann)[1:] == (1, "reconnect")


def test_a_token_that_still_works_is_used_to_its_end(home: OAuthWorkspace, ann: UUID) -> None:
    twice_lost(home, ann)
    assert isinstance(refresh(home.stack.context, ann, 1, ahead=True), CredentialsRevoked)
    assert home.read_account(ann)[1:] == (1, "active")
    found = facts(home, ann)
    assert abs(found.refresh_after - found.expires_at) < timedelta(seconds=2), "nobody tries before"
    set_facts(home, ann, "expires_at = now()")
    assert isinstance(refresh(home.stack.context, ann, 1, ahead=True), CredentialsRevoked)
    assert home.read_account(ann)[1:] == (1, "reconnect")


def test_where_tokens_do_not_rotate_silence_disconnects_nobody(home: OAuthWorkspace, ann: UUID) -> None:
    set_facts(home, ann, "unanswered = 7, refresh_rotates = false")
    assert refresh(home.stack.context, ann, 1) is None
    assert home.read_account(ann)[1:] == (2, "active")


@pytest.mark.parametrize("fault", ["5xx", "429"])
def test_a_platform_in_trouble_disconnects_nobody(home: OAuthWorkspace, ann: UUID, fault: str) -> None:
    home.stack.fault("tiktok", "refresh", fault, times=None, retry_after=7)
    for _ in range(4):
        error = refresh(home.stack.context, ann, 1)
        assert isinstance(error, AdapterError)
        assert not isinstance(error, CredentialsRevoked)
    assert home.read_account(ann)[1:] == (1, "active")
    assert facts(home, ann).unanswered == 0
    home.stack.control("DELETE", "faults")
    assert refresh(home.stack.context, ann, 1) is None


def test_a_definite_refusal_disconnects_even_ahead_of_the_end(home: OAuthWorkspace, ann: UUID) -> None:
    body = {"platform": "tiktok", "remote_id": home.read_account(ann)[0].remote_id, "state": "revoked"}
    home.stack.control("POST", "tokens", body)
    assert isinstance(refresh(home.stack.context, ann, 1, ahead=True), CredentialsRevoked)
    assert home.read_account(ann)[1:] == (1, "reconnect")


def test_an_account_that_cannot_be_renewed_lives_to_its_end(home: OAuthWorkspace, ann: UUID) -> None:
    known = home.read_account(ann)[0].credentials
    soon = datetime.now(UTC) + timedelta(minutes=4)
    with home.stack.context.database.begin() as c:
        only = replace(known, refresh_token=None, refresh_expires_at=None, expires_at=soon)
        assert store_credentials(c, home.stack.context.vault, ann, only)
    assert due(home) == [ann]
    assert refresh_credentials(home.stack.context) == 0
    assert home.read_account(ann)[1:] == (2, "active")
    assert due(home) == [], "told once"
    set_facts(home, ann, "expires_at = now(), refresh_after = now()")
    assert refresh_credentials(home.stack.context) == 0
    assert home.read_account(ann)[1:] == (2, "reconnect")


def due(home: OAuthWorkspace) -> list[UUID]:
    with home.stack.context.database.begin() as c:
        return [account for account, _ in list_due_refreshes(c, 50)]


def test_an_account_that_stays_due_is_refreshed_once_a_run(home: OAuthWorkspace) -> None:
    home.stack.workspace = home.workspace
    yan = home.stack.connect("youtube", "yan")
    known = home.read_account(yan)[0].credentials
    soon = datetime.now(UTC) + timedelta(
        minutes=4
    )  # of the refresh token: a new access token changes nothing
    with home.stack.context.database.begin() as c:
        ending = replace(known, expires_at=soon, refresh_expires_at=soon)
        assert store_credentials(c, home.stack.context.vault, yan, ending)
    assert refresh_credentials(home.stack.context) == 1
    assert home.read_account(yan)[1:] == (3, "active")
    assert due(home) == [yan]


@pytest.mark.parametrize(
    ("since", "ends", "is_due"),
    [
        ("-54 days", "6.2 days", False),  # Instagram's and LinkedIn's 60 days: six to three before the end
        ("-57 days", "2.9 days", True),
        ("-300 days", "65 days", False),  # a week at most
        ("-21 hours", "3 hours", False),  # TikTok's day
        ("-23 hours", "1 hour", True),
        ("-50 minutes", "11 minutes", False),  # Google's hour: ten minutes at least
        ("-55 minutes", "4.9 minutes", True),
        ("-1 minute", "-1 second", True),
    ],
)
def test_tokens_are_renewed_in_the_last_tenth_of_their_life(
    home: OAuthWorkspace, ann: UUID, since: str, ends: str, is_due: bool
) -> None:
    set_facts(
        home,
        ann,
        f"credentials_since = now() + interval '{since}', expires_at = now() + interval '{ends}', "
        "refresh_expires_at = NULL",
    )
    assert due(home) == ([ann] if is_due else [])
    set_facts(home, ann, "refresh_expires_at = now() - interval '1 second'")
    assert due(home) == [], "a dead refresh token renews nothing"


def test_instagram_is_renewed_before_its_sixty_days_are_over(home: OAuthWorkspace) -> None:
    made = home.stack.control("POST", "accounts", {"platform": "instagram", "username": "ivy"})
    home.stack.workspace = home.workspace
    ivy = home.stack.connect("instagram", "ivy")
    assert due(home) == []
    set_facts(
        home, ivy, "credentials_since = now() - interval '58 days', expires_at = now() + interval '2 days'"
    )
    assert refresh_credentials(home.stack.context) == 1
    opened, version, status = home.read_account(ivy)
    assert (version, status, opened.platform) == (2, "active", Platform.INSTAGRAM)
    assert opened.credentials.expires_at is not None
    assert opened.credentials.expires_at > datetime.now(UTC) + timedelta(days=59)
    assert opened.credentials.access_token.get_secret_value() != made["access_token"]
    assert due(home) == []


def test_a_new_token_outlives_a_database_that_went_away(
    engines: Engines, home: OAuthWorkspace, ann: UUID, tmp_path: Path
) -> None:
    name = home.stack.context.database.engine.url.database
    home.stack.start(
        "patient",
        "tests.pipeline.accounts.refresh_worker",
        str(ann),
        "1",
        **arm_failpoints({"credentials.answered": tmp_path / "once"}, "stop"),
    )
    patient = home.stack.parts["patient"]
    until(lambda: _is_stopped(patient.pid) or None, 20)
    home.stack.context.database.close()
    with engines.postgres.connect() as c:
        killed = c.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        ).fetchall()
    assert len(killed) >= 1
    home.stack.kill("patient", signal.SIGCONT, wait=False)
    assert patient.wait(120) == 0, (home.stack.folder / "patient.log").read_text()
    assert home.read_account(ann)[1:] == (2, "active")
    assert works(home, ann)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")
