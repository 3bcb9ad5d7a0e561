"""A timeline tells moves and attempts in the order of time, with the words of platforms as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.dashboard.post import build_timeline, describe_error
from pipeline.store.deliveries.history import AttemptFacts, History, Move

START = datetime(2026, 11, 27, 9, tzinfo=UTC)
ERROR = {
    "class": "Rejected",
    "code": "caption_refused",
    "message": "The caption was refused.",
    "platform_code": "7",
    "platform_message": "<b>No</b>",
    "next_action": "Change the caption.",
}


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def move(seconds: int, origin: str | None, target: str, why: str | None = None) -> Move:
    return Move(at=at(seconds), mover="publish", origin=origin, target=target, generation=0, fence=0, why=why)


def attempt(**given: Any) -> AttemptFacts:
    facts: dict[str, Any] = {
        "n": 1,
        "generation": 0,
        "fence": 1,
        "opened_at": at(2),
        "armed_at": None,
        "closed_at": None,
        "outcome": None,
        "remote_id": None,
        "error": None,
        "late": None,
    }
    return AttemptFacts(**{**facts, **given})


def test_moves_and_attempts_are_told_newest_first() -> None:
    history = History(
        moves=[
            move(0, None, "scheduled"),
            move(1, "queued", "publishing"),
            move(9, "publishing", "failed", "no"),
        ],
        attempts=[attempt(armed_at=at(5), closed_at=at(8), outcome="failed", error=ERROR)],
        receipts=(),
    )
    found = build_timeline(history)
    assert [(entry.at, entry.title, entry.state) for entry in found] == [
        (at(9), "From publishing by publish", "failed"),
        (at(8), "Attempt 1 closed: failed", None),
        (at(5), "Attempt 1 armed: the visible call may happen", None),
        (at(2), "Attempt 1 opened", None),
        (at(1), "From queued by publish", "publishing"),
        (at(0), "Created by publish", "scheduled"),
    ]
    assert (found[0].details, found[1].details) == (("no",), describe_error(ERROR))


def test_of_one_moment_the_later_move_is_first() -> None:
    history = History(
        moves=[move(0, None, "accepted"), move(0, "accepted", "scheduled")], attempts=(), receipts=()
    )
    assert [entry.state for entry in build_timeline(history)] == ["scheduled", "accepted"]


def test_what_arrived_late_is_told_with_its_attempt() -> None:
    late = [{"remote_id": "77"}, {"message": "Reset.", "code": "reset"}, {"handle": True}]
    [closed, _] = build_timeline(
        History(moves=(), attempts=[attempt(closed_at=at(9), outcome="absent", late=late)], receipts=())
    )
    assert closed.details == tuple(
        f"Arrived after the claim was lost: {what}" for what in ("post 77", "Reset. (reset)", "handle")
    )
    [first, *_] = build_timeline(
        History(moves=(), attempts=[attempt(armed_at=at(5), late=late)], receipts=())
    )
    assert (first.at, len(first.details)) == (at(5), 3)


def test_an_error_is_told_with_the_platforms_words_and_what_to_do() -> None:
    assert describe_error(ERROR) == (
        "The caption was refused. (Rejected caption_refused 7)",
        "The platform's words: <b>No</b>",
        "Change the caption.",
    )
    assert describe_error(None) == ()
