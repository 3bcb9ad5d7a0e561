"""Rounds of a webhook: only the holder of the claim arms and settles, and only its own events.

In each test another webhook has the same events under the same ids, and the fence of the first one's lost claim.
"""

# ruff: noqa: S608  assignments of this file are put into statements; values are always bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.notice import Form
from pipeline.domain.shares import Shares
from pipeline.domain.webhook import AttemptOutcome, Tried
from pipeline.store.auth.keys import Terms, create_key, find_caller
from pipeline.store.database import new_id, row
from pipeline.store.webhooks.rounds import (
    ArmedEvent,
    ClaimedWebhook,
    Settled,
    arm_round,
    claim_webhook,
    has_lost_key,
    release_webhook,
    settle_round,
)
from pipeline.store.webhooks.webhooks import create_webhook
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.webhooks.twins import Twins, add_webhooks

DELETED = "deleted_at = now()"
LEASE = timedelta(minutes=1)
NONE = Shares(running={}, full_hosts=(), share=1, only_new=False)
"""Nothing is under way."""
FIRST = "served_at = now() - interval '1 hour', hold_until = now() - interval '1 hour'"
"""It is served next, and its last round was a short one."""
DELIVERED = Tried(outcome=AttemptOutcome.DELIVERED, status=200)
FAILED = Tried(outcome=AttemptOutcome.HTTP_ERROR, status=500)


@dataclass(kw_only=True)
class Pair(Twins):
    """A webhook and another one, with the same two events, each in a lane of its own."""

    events: Sequence[UUID]

    def change(self, webhook: UUID, assignments: str) -> None:
        self.read(f"UPDATE webhooks SET {assignments} WHERE id = :id RETURNING id", id=webhook)

    def claim(self) -> ClaimedWebhook:
        """Claim the first webhook; the other one gets the same fence."""
        claimed = self.ledger.do(claim_webhook, LEASE, NONE, is_slow=False)
        assert claimed is not None
        assert claimed.id == self.mine
        self.change(self.other, f"fence = {claimed.fence}")
        return claimed

    def arm(self, claimed: ClaimedWebhook) -> list[ArmedEvent]:
        return self.ledger.do(arm_round, claimed, LEASE, 10)

    def settle(self, claimed: ClaimedWebhook, *results: Settled) -> None:
        self.ledger.do(settle_round, claimed, results, timedelta(days=3))

    def states(self, webhook: UUID) -> list[tuple[str, bool, int]]:
        """State, whether it is due, and tries of its events, in order."""
        found = self.read(
            "SELECT state, next_at <= now() AS due, attempts FROM webhook_events WHERE webhook_id = :w ORDER BY n",
            w=webhook,
        )
        return [(r.state, bool(r.due), r.attempts) for r in found]

    def outcomes(self, webhook: UUID) -> list[tuple[int, int, str | None]]:
        """Event, number and outcome of its tries."""
        found = self.read(
            "SELECT event_id, n, outcome FROM webhook_attempts WHERE webhook_id = :w", w=webhook
        )
        return sorted((self.events.index(r.event_id), r.n, r.outcome) for r in found)

    def row_of(self, webhook: UUID) -> Any:
        return self.read("SELECT * FROM webhooks WHERE id = :id", id=webhook)[0]


@pytest.fixture
def pair(ledger: Ledger) -> Pair:
    made = Pair(events=[new_id(), new_id()], **add_webhooks(ledger))
    for webhook in (made.mine, made.other):
        made.queue(webhook, *((event, new_id()) for event in made.events))
    made.change(made.mine, FIRST)
    return made


def open_attempts(pair: Pair, webhook: UUID) -> None:
    """The first try of each event of a webhook is under way."""
    pair.read(
        "UPDATE webhook_events SET attempts = 1, tries = 1 WHERE webhook_id = :w RETURNING id", w=webhook
    )
    pair.read(
        """INSERT INTO webhook_attempts (webhook_id, event_id, n)
           SELECT webhook_id, id, 1 FROM webhook_events WHERE webhook_id = :w RETURNING n""",
        w=webhook,
    )


def result(event: ArmedEvent, tried: Tried, wait: timedelta | None = HOUR) -> Settled:
    return Settled(event=event, tried=tried, wait=None if tried is DELIVERED else wait)


# --- claim -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "deleted_at = now()",
        "paused_at = now(), paused_why = 'person'",
        "hold_until = now() + interval '1 minute', served_at = now() + interval '1 minute'",
        "lease_until = now() + interval '1 minute'",
    ],
)
def test_a_webhook_that_may_not_be_sent_to_is_not_claimed(pair: Pair, change: str) -> None:
    pair.change(pair.mine, change)
    first, none = (pair.ledger.do(claim_webhook, LEASE, NONE, is_slow=False) for _ in range(2))
    assert first is not None
    assert (first.id, none) == (pair.other, None)


def test_one_without_an_event_that_is_due_is_not_claimed(pair: Pair) -> None:
    pair.read(
        "UPDATE webhook_events SET next_at = now() + interval '1 hour' WHERE webhook_id = :w RETURNING id",
        w=pair.mine,
    )
    first, none = (pair.ledger.do(claim_webhook, LEASE, NONE, is_slow=False) for _ in range(2))
    assert first is not None
    assert (first.id, none) == (pair.other, None)


def test_slow_webhooks_and_those_of_busy_workspaces_are_claimed_by_those_who_ask_for_them(pair: Pair) -> None:
    pair.change(pair.other, DELETED)
    busy = replace(NONE, running={pair.workspace: 1}, only_new=True)
    with pair.ledger.database.begin() as c:
        assert claim_webhook(c, LEASE, NONE, is_slow=True) is None
        assert claim_webhook(c, LEASE, busy, is_slow=False) is None
    pair.change(pair.mine, "hold_until = now()")
    with pair.ledger.database.begin() as c:
        assert claim_webhook(c, LEASE, NONE, is_slow=False) is None
        assert claim_webhook(c, LEASE, NONE, is_slow=True) is not None


def test_a_lease_that_ended_is_taken_over_under_the_next_fence(pair: Pair) -> None:
    first = pair.claim()
    pair.change(pair.mine, f"lease_until = now() - interval '1 second', {FIRST}")
    assert pair.claim().fence == first.fence + 1


def lose(pair: Pair) -> None:
    """Another sender claims the webhook; the second webhook keeps the fence of the first claim."""
    pair.change(pair.mine, "fence = fence + 1")


LOST = {
    "another sender": "fence = fence + 1",
    "paused": "paused_at = now(), paused_why = 'person'",
    "deleted": "deleted_at = now()",
}
HELD = "hold_until = now() + interval '1 hour'"


# --- arm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [*LOST.values(), HELD], ids=[*LOST, "held"])
def test_nothing_is_armed_by_a_claim_that_is_lost(pair: Pair, change: str) -> None:
    claimed = pair.claim()
    pair.change(pair.mine, change)
    assert pair.arm(claimed) == []
    assert pair.states(pair.mine) == pair.states(pair.other) == [("pending", True, 0)] * 2
    assert pair.outcomes(pair.mine) == pair.outcomes(pair.other) == []


def test_only_its_own_events_that_are_due_are_armed(pair: Pair) -> None:
    claimed, before = pair.claim(), pair.row_of(pair.other)
    pair.read(
        "UPDATE webhook_events SET next_at = now() + interval '1 hour' WHERE webhook_id = :w AND id = :e RETURNING id",
        w=pair.mine,
        e=pair.events[1],
    )
    [armed] = pair.arm(claimed)
    assert (armed.id, armed.n) == (pair.events[0], 1)
    assert pair.states(pair.mine) == [("pending", True, 1), ("pending", False, 0)]
    assert pair.states(pair.other) == [("pending", True, 0)] * 2
    assert pair.outcomes(pair.mine) == [(0, 1, None)]
    assert pair.row_of(pair.other) == before, "its lease is not extended"


def test_the_tries_of_a_sender_that_died_are_closed_and_no_others(pair: Pair) -> None:
    for webhook in (pair.mine, pair.other):
        open_attempts(pair, webhook)
    pair.read(
        """UPDATE webhook_attempts SET outcome = 'http_error', ended_at = now()
           WHERE webhook_id = :w AND event_id = :e RETURNING n""",
        w=pair.mine,
        e=pair.events[1],
    )
    assert len(pair.arm(pair.claim())) == 2
    assert pair.outcomes(pair.mine) == [(0, 1, "unknown"), (0, 2, None), (1, 1, "http_error"), (1, 2, None)]
    assert pair.outcomes(pair.other) == [(0, 1, None), (1, 1, None)]


# --- settle ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
@pytest.mark.parametrize("tried", [DELIVERED, FAILED], ids=["delivered", "failed"])
def test_who_lost_the_claim_closes_its_tries_and_changes_no_event(
    pair: Pair, tried: Tried, change: str
) -> None:
    claimed = pair.claim()
    armed = pair.arm(claimed)
    pair.change(pair.mine, change)
    before = pair.states(pair.mine), pair.row_of(pair.mine), pair.row_of(pair.other)
    pair.settle(claimed, *(result(event, tried) for event in armed))
    assert (pair.states(pair.mine), pair.row_of(pair.mine), pair.row_of(pair.other)) == before
    assert pair.outcomes(pair.mine) == [(0, 1, tried.outcome), (1, 1, tried.outcome)]


def test_one_that_is_held_by_now_is_settled(pair: Pair) -> None:
    claimed = pair.claim()
    armed = pair.arm(claimed)
    pair.change(pair.mine, HELD)
    pair.settle(claimed, *(result(event, DELIVERED) for event in armed))
    assert pair.states(pair.mine) == [("delivered", False, 1)] * 2


def test_a_round_settles_the_events_and_tries_that_it_sent(pair: Pair) -> None:
    open_attempts(pair, pair.other)
    claimed, before = pair.claim(), pair.row_of(pair.other)
    first, second = pair.arm(claimed)
    pair.settle(claimed, result(first, FAILED))
    assert pair.outcomes(pair.mine) == [(0, 1, "http_error"), (1, 1, None)]
    assert pair.states(pair.mine) == [("pending", False, 1), ("pending", True, 1)]
    pair.settle(claimed, result(second, DELIVERED))
    assert pair.states(pair.mine) == [("pending", False, 1), ("delivered", False, 1)]
    assert pair.states(pair.other) == [("pending", True, 1)] * 2
    assert pair.outcomes(pair.other) == [(0, 1, None), (1, 1, None)]
    assert pair.row_of(pair.other) == before


def test_the_result_of_an_earlier_try_closes_that_try_alone(pair: Pair) -> None:
    claimed = pair.claim()
    old, _ = pair.arm(claimed)
    new, _ = pair.arm(claimed)
    assert (old.n, new.n) == (1, 2)
    pair.settle(claimed, result(old, DELIVERED))
    assert pair.outcomes(pair.mine)[:2] == [(0, 1, "unknown"), (0, 2, None)], "the first outcome stays"
    assert pair.states(pair.mine)[0] == ("pending", True, 2)


def test_what_is_delivered_stays_so(pair: Pair) -> None:
    claimed = pair.claim()
    event, _ = pair.arm(claimed)
    pair.settle(claimed, result(event, DELIVERED))
    pair.settle(claimed, replace(result(event, FAILED), wait=None))
    assert pair.states(pair.mine)[0] == ("delivered", False, 1)
    assert pair.outcomes(pair.mine)[0] == (0, 1, "delivered")


# --- release, keys ---------------------------------------------------------------------------------------------------


def test_a_claim_is_ended_by_its_holder_alone(pair: Pair) -> None:
    claimed = pair.claim()
    pair.change(pair.other, "lease_until = now() + interval '1 minute'")
    lose(pair)
    pair.ledger.do(release_webhook, claimed)
    assert None not in (pair.row_of(pair.mine).lease_until, pair.row_of(pair.other).lease_until)
    pair.ledger.do(release_webhook, replace(claimed, fence=claimed.fence + 1))
    assert pair.row_of(pair.mine).lease_until is None
    assert pair.row_of(pair.other).lease_until is not None


@pytest.mark.parametrize(
    ("restricted", "change", "lost"),
    [
        (True, None, False),
        (True, "expires_at = now() + interval '1 hour'", False),
        (True, "revoked_at = now()", True),
        (True, "expires_at = now() - interval '1 second'", True),
        (False, "revoked_at = now()", False),
    ],
)
def test_only_a_webhook_of_a_restricted_key_is_lost_with_it(
    pair: Pair, change: str | None, *, restricted: bool, lost: bool
) -> None:
    ledger = pair.ledger
    accounts = [ledger.account(pair.workspace)] if restricted else None
    with ledger.database.begin() as c:
        key = create_key(c, pair.workspace, "agency", Terms(accounts=accounts))
        create_key(c, pair.workspace, "another, which is valid", Terms(accounts=accounts))
        caller = find_caller(c, key)
        assert caller is not None
        webhook, _ = create_webhook(
            c, ledger.vault, caller, url="https://a.example/", types=None, description=None
        )
        if change is not None:
            row(c, f"UPDATE keys SET {change} WHERE id = :id RETURNING id", id=caller.key_id)
        claimed = ClaimedWebhook(
            id=webhook.id,
            workspace_id=pair.workspace,
            form=Form.EVENT,
            key_id=caller.key_id,
            url="",
            secrets=b"",
            has_earlier=False,
            fence=0,
            failures=0,
        )
        assert has_lost_key(c, claimed) is lost
        assert not has_lost_key(c, replace(claimed, id=pair.other)), "whatever becomes of others' keys"
