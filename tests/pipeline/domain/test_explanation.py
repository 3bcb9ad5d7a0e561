"""The explanation of every state with every reason, hold and fault: whose turn it is, and what a person can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import LOOKED_AT, SETTLED, WAITING, Reason, State
from pipeline.domain.explanation import Situation, explain, find_detail
from pipeline.domain.explanation_action import Turn
from pipeline.domain.explanation_rules import RULES, SEEN
from pipeline.domain.hold import DerivedHold, Hold

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DELIVERY, POST, ACCOUNT = (UUID(int=n) for n in (1, 2, 3))


def situation(state: State, **more: Any) -> Situation:
    values: dict[str, Any] = {
        "delivery": DELIVERY,
        "post": POST,
        "account": ACCOUNT,
        "platform": "tiktok",
        "username": "ada",
        "state": state,
        "reason": None,
        "hold": None,
        "fault": None,
        "error_code": None,
        "is_proven_live": False,
        "account_status": AccountStatus.ACTIVE,
        "may_be_edited": True,
        "can_authorize": True,
        "last_look": "",
        "can_be_looked_at": True,
        "next_at": None,
        "moved_at": NOW,
        "derived": (),
        "media_seen": None,
        "url": None,
        **more,
    }
    return Situation(**values)


def pause(scope: str = "account", target: str = str(ACCOUNT), *, since: datetime | None = NOW) -> DerivedHold:
    return DerivedHold(
        hold=Hold.PAUSED, scope=scope, target=target, why="under review {x}", since=since, next_at=None
    )


FAILURES = (
    situation(State.FAILED, fault="customer", may_be_edited=False),
    situation(State.FAILED, fault="customer", error_code="media_unreachable"),
    situation(State.FAILED, fault="customer", error_code="expired"),
    situation(State.FAILED, account_status=AccountStatus.INACTIVE),
    situation(State.FAILED, account_status=AccountStatus.RECONNECT),
    situation(State.FAILED, is_proven_live=True),
)


def every_situation() -> Iterator[Situation]:
    """Yield each state with everything that it can be read with."""
    for state in State:
        if state is State.BLOCKED:
            yield from (situation(state, reason=reason) for reason in Reason)
            yield situation(state, reason=Reason.RECONNECT, account_status=AccountStatus.INACTIVE)
            continue
        holds: list[Hold | None] = [None]
        holds += list(Hold) if state in {*WAITING, State.QUEUED} else []
        holds += [Hold.RATE, Hold.NEWER_WORKER, Hold.VAULT] if state in LOOKED_AT else []
        for hold in holds:
            if hold is not Hold.CHECKING:
                yield from (
                    situation(state, hold=hold, fault=f) for f in (None, "customer", "platform", "us")
                )
        if state in {State.PROCESSING, State.UNKNOWN}:
            yield situation(state, last_look="The last look failed: it did not answer.")
        if state is State.UNKNOWN:
            yield situation(state, last_look="The platform cannot be asked.", can_be_looked_at=False)
        if state is State.FAILED:
            yield from FAILURES
        if state is State.ACCEPTED:
            yield situation(state, hold=Hold.CHECKING)
            yield situation(state, hold=Hold.STORAGE)
            yield situation(state, hold=Hold.CHECKING, media_seen="it answered 404")


def test_every_state_with_every_reason_hold_and_fault_is_explained_and_no_rule_is_idle() -> None:
    used = set()
    for found in every_situation():
        words = explain(found)
        used.add((found.state, find_detail(found)))
        assert "{" not in words.summary + (words.next_step or "")
        assert (words.turn is None) == (found.state in {State.PUBLISHED, State.CANCELLED})
        assert (words.next_step is None) == (found.state in SETTLED)
        if words.action is not None:
            assert words.action.command.startswith("slipway ")
            assert "{" not in f"{words.action.command}{words.action.says}{words.action.ask}"
            assert words.action.call is None or "{" not in words.action.call.path
    assert used == set(RULES)


@pytest.mark.parametrize(
    ("found", "turn", "command"),
    [
        (situation(State.BLOCKED, reason=Reason.RECONNECT), Turn.CUSTOMER, f"account reconnect {ACCOUNT}"),
        (situation(State.BLOCKED, reason=Reason.IS_IT_LIVE), Turn.OPERATOR, f"delivery decide {DELIVERY}"),
        (situation(State.BLOCKED, reason=Reason.PERSON_NEEDED), Turn.OPERATOR, f"delivery resume {DELIVERY}"),
        (situation(State.FAILED, fault="customer"), Turn.CUSTOMER, f"post edit {POST} --body -"),
        (FAILURES[0], Turn.CUSTOMER, "post create --workspace NAME --body -"),
        (FAILURES[1], Turn.CUSTOMER, f"post retry {POST} --account {ACCOUNT}"),
        (FAILURES[2], Turn.CUSTOMER, f"post retry {POST} --account {ACCOUNT}"),
        (FAILURES[3], Turn.OPERATOR, f"account activate {ACCOUNT}"),
        (FAILURES[4], Turn.CUSTOMER, f"account reconnect {ACCOUNT}"),
        (FAILURES[5], Turn.OPERATOR, f"delivery show {DELIVERY}"),
        (situation(State.FAILED, fault="platform"), Turn.CUSTOMER, f"post retry {POST} --account {ACCOUNT}"),
        (situation(State.FAILED, fault="us"), Turn.OPERATOR, f"dead-letter show {DELIVERY}"),
        (situation(State.FAILED), Turn.OPERATOR, f"dead-letter show {DELIVERY}"),
        (situation(State.UNKNOWN), Turn.US, f"delivery decide {DELIVERY}"),
        (situation(State.SCHEDULED, hold=Hold.EPOCH), Turn.OPERATOR, "restore status"),
        (situation(State.SCHEDULED, hold=Hold.DAILY_QUOTA), Turn.PLATFORM, None),
        (situation(State.SCHEDULED, hold=Hold.MIN_GAP), Turn.PLATFORM, None),
        (situation(State.SCHEDULED, hold=Hold.PREPARED_EARLY), Turn.US, None),
        (situation(State.QUEUED, hold=Hold.SHUTDOWN), Turn.US, None),
        (situation(State.RETRYING, fault="platform"), Turn.PLATFORM, None),
        (situation(State.PROCESSING), Turn.PLATFORM, None),
        (situation(State.ACCEPTED, hold=Hold.CHECKING), Turn.US, None),
        (situation(State.ACCEPTED, media_seen="it answered 404"), Turn.CUSTOMER, f"post show {POST}"),
    ],
)
def test_whose_turn_it_is_and_the_one_action(found: Situation, turn: Turn, command: str | None) -> None:
    words = explain(found)
    assert words.turn is turn
    assert (words.action and words.action.command.partition(" --live")[0].partition(" <")[0]) == (
        command and f"slipway {command}"
    )


@pytest.mark.parametrize(
    ("scope", "target", "command"),
    [
        ("delivery", str(DELIVERY), f"slipway steer resume --account {ACCOUNT}"),
        ("all", "", "slipway pause lift all"),
        ("platform", "tiktok", "slipway pause lift platform tiktok"),
        ("account", str(ACCOUNT), f"slipway pause lift account {ACCOUNT}"),
    ],
)
def test_a_pause_is_named_with_its_why_and_the_command_that_lifts_it(
    scope: str, target: str, command: str
) -> None:
    words = explain(situation(State.SCHEDULED, hold=Hold.PAUSED, derived=[pause(scope, target)]))
    assert "under review {x}" in words.summary
    assert words.action is not None
    assert words.action.command == command


def test_it_stands_so_since_the_later_of_its_move_and_what_holds_it() -> None:
    held = situation(State.SCHEDULED, hold=Hold.PAUSED, derived=[pause(since=NOW + HOUR)])
    assert explain(held).since == NOW + HOUR
    assert explain(replace(held, moved_at=NOW + 2 * HOUR)).since == NOW + 2 * HOUR
    assert explain(replace(held, derived=[pause(since=None)])).since == NOW


def test_the_next_time_is_its_own_or_that_of_the_probe() -> None:
    breaker = DerivedHold(
        hold=Hold.BREAKER, scope="platform", target="tiktok", why="w", since=NOW, next_at=NOW + HOUR
    )
    assert (
        explain(situation(State.SCHEDULED, hold=Hold.BREAKER, derived=[breaker])).next_at == breaker.next_at
    )
    assert explain(situation(State.RETRYING, next_at=NOW)).next_at == NOW
    assert (
        explain(situation(State.PUBLISHED, url="https://t.example/1")).summary == "Live: https://t.example/1"
    )


def test_media_that_were_seen_and_failed_looks_have_rules_of_their_own() -> None:
    assert find_detail(situation(State.ACCEPTED, media_seen="x")) == SEEN
    failed = explain(situation(State.UNKNOWN, last_look="The last look failed: it did not answer."))
    assert failed.summary.endswith("The last look failed: it did not answer.")
    assert "it may be live" in failed.summary
    beyond = explain(situation(State.UNKNOWN, last_look="It cannot be asked.", can_be_looked_at=False))
    assert (beyond.turn, "is asked whether" in str(beyond.next_step)) == (Turn.OPERATOR, False)


def test_a_key_is_sent_to_no_sign_in_that_the_server_is_not_set_up_for() -> None:
    for can, is_offered in ((True, True), (False, False)):
        words = explain(situation(State.BLOCKED, reason=Reason.RECONNECT, can_authorize=can))
        assert words.action is not None
        assert (words.action.call is not None, bool(words.action.ask)) == (is_offered, True)
