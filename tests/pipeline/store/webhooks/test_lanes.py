"""Lanes of events: which event of which webhook becomes due, at whatever stage another webhook's same events are."""
# ruff: noqa: S608  assignments of this file are put into statements; values are always bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.webhook import EventState, PauseReason
from pipeline.store.database import new_id
from pipeline.store.webhooks.events import Replay, promote, replay_events
from pipeline.store.webhooks.webhooks import pause_webhook, resume_webhook
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.webhooks.twins import Twins, add_webhooks

LATER = "next_at = now() + interval '1 hour'"
DONE = "state = 'delivered', next_at = NULL"
DUE, WAITS, BEHIND, DELIVERED = "due", "waits", "behind another", "delivered"


@dataclass(kw_only=True)
class Two(Twins):
    """Two webhooks with the same events in the same lanes: A, A, A, B, B, C. The second one's were stored first."""

    lanes: dict[str, UUID]
    events: Sequence[UUID]

    def change(self, webhook: UUID, nth: int, assignments: str) -> None:
        sql = f"UPDATE webhook_events SET {assignments} WHERE webhook_id = :w AND id = :e RETURNING id"
        self.read(sql, w=webhook, e=self.events[nth])

    def rows_of(self, webhook: UUID) -> list[Any]:
        return self.read("SELECT * FROM webhook_events WHERE webhook_id = :w ORDER BY n", w=webhook)

    def states(self, webhook: UUID) -> list[str]:
        found = self.read(
            """SELECT CASE WHEN state <> 'pending' THEN state WHEN next_at IS NULL THEN 'behind another'
                           WHEN next_at <= now() THEN 'due' ELSE 'waits' END AS is
               FROM webhook_events WHERE webhook_id = :w ORDER BY n""",
            w=webhook,
        )
        return [r[0] for r in found]

    def replay(self, chosen: Replay, limit: int = 10) -> int:
        return self.ledger.do(replay_events, self.mine, chosen, limit)[0]


@pytest.fixture
def two(ledger: Ledger) -> Two:
    lanes = {name: new_id() for name in "ABC"}
    made = Two(lanes=lanes, events=[new_id() for _ in range(6)], **add_webhooks(ledger))
    for webhook in (made.other, made.mine):
        made.queue(webhook, *zip(made.events, map(lanes.__getitem__, "AAABBC"), strict=True))
    return made


def test_the_first_pending_event_of_a_lane_is_due_and_no_other(two: Two) -> None:
    assert two.states(two.mine) == [DUE, BEHIND, BEHIND, DUE, BEHIND, DUE]
    assert two.states(two.other) == two.states(two.mine)
    two.change(two.mine, 5, DONE)
    two.events = [*two.events, new_id(), new_id()]
    two.queue(two.mine, (two.events[6], two.lanes["A"]), (two.events[7], two.lanes["C"]))
    assert two.states(two.mine)[6:] == [BEHIND, DUE], (
        "what was delivered blocks no lane, nor does another lane"
    )


def test_of_the_lanes_that_are_named_the_next_event_becomes_due_where_none_is(two: Two) -> None:
    two.change(two.mine, 0, DONE)
    two.change(two.mine, 3, LATER)
    two.change(two.mine, 5, "next_at = NULL")
    before = two.rows_of(two.other)
    two.ledger.do(promote, two.mine, [two.lanes["A"], two.lanes["B"]])
    assert two.states(two.mine) == [DELIVERED, DUE, BEHIND, WAITS, BEHIND, BEHIND]
    assert two.rows_of(two.other) == before


def test_events_that_are_named_are_replayed_in_their_lanes_alone(two: Two) -> None:
    for nth in (0, 3):
        two.change(two.mine, nth, f"{DONE}, tries = 2")
    for nth in (1, 4, 5):
        two.change(two.mine, nth, LATER)
    before = two.rows_of(two.other)
    assert two.replay(Replay(ids=[two.events[0]])) == 1
    assert two.states(two.mine) == [DUE, BEHIND, BEHIND, DELIVERED, WAITS, WAITS]
    assert [r.tries for r in two.rows_of(two.mine)] == [0, 0, 0, 2, 0, 0]
    assert two.rows_of(two.other) == before


@pytest.mark.parametrize(
    ("chosen", "replayed"),
    [
        (Replay(since=datetime.now(UTC) - 9 * HOUR), [0, 3, 5]),
        (Replay(since=datetime.now(UTC) - 9 * HOUR, until=datetime.now(UTC) - HOUR), [0]),
        (Replay(since=datetime.now(UTC) - HOUR), [3, 5]),
        (Replay(since=datetime.now(UTC) - 9 * HOUR, state=EventState.FAILED), [3]),
        (Replay(since=datetime.now(UTC) - 9 * HOUR, after=4), [3, 5]),
    ],
    ids=["all", "until", "since", "state", "after"],
)
def test_of_a_span_what_is_not_pending_is_replayed(two: Two, chosen: Replay, replayed: list[int]) -> None:
    for nth, change in (
        (0, f"{DONE}, created_at = now() - interval '2 hours'"),
        (3, "state = 'failed', next_at = NULL"),
        (5, DONE),
        (1, "created_at = now() - interval '3 hours'"),
    ):
        for webhook in (two.mine, two.other):
            two.change(webhook, nth, f"{change}, tries = 2")
    two.change(two.other, 1, DONE)
    before, numbers = two.rows_of(two.other), [r.n for r in two.rows_of(two.mine)]
    if chosen.after is not None:
        chosen = Replay(since=chosen.since, after=numbers[0])
    assert two.replay(chosen) == len(replayed)
    assert [nth for nth, r in enumerate(two.rows_of(two.mine)) if nth != 1 and r.tries == 0] == sorted(
        {*replayed, 2, 4}
    )
    assert two.rows_of(two.mine)[1].tries == 2, "it was pending"
    assert two.rows_of(two.other) == before


def test_a_webhook_that_is_resumed_tries_what_it_has_tried_at_once(two: Two) -> None:
    for webhook in (two.mine, two.other):
        two.change(webhook, 0, f"{LATER}, tries = 3")
        two.change(webhook, 1, "tries = 3")
        two.change(webhook, 3, LATER)
        with two.ledger.database.begin() as c:
            assert pause_webhook(c, webhook, PauseReason.DEAD) is not None
            assert pause_webhook(c, webhook, PauseReason.PERSON) is None, "the first reason stays"
    before = two.rows_of(two.other)
    two.ledger.do(resume_webhook, two.mine)
    assert two.states(two.mine) == [DUE, BEHIND, BEHIND, WAITS, BEHIND, DUE]
    assert [r.tries for r in two.rows_of(two.mine)][:2] == [0, 3]
    assert two.rows_of(two.other) == before
    paused = two.read("SELECT id FROM webhooks WHERE paused_at IS NOT NULL")
    assert [r.id for r in paused] == [two.other]


def test_one_webhook_is_paused_and_no_other(two: Two) -> None:
    paused = two.ledger.do(pause_webhook, two.mine, PauseReason.PERSON)
    assert paused is not None
    assert (paused.id, paused.paused_why) == (two.mine, PauseReason.PERSON)
    assert [r.id for r in two.read("SELECT id FROM webhooks WHERE paused_at IS NOT NULL")] == [two.mine]
