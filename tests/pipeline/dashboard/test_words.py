"""Pages use the words of people: the ledger's words, ids and names of classes stand in Details only."""

from __future__ import annotations

import pytest

from pipeline.dashboard.words import HOLDS, REASONS, ROWS, STATES, explain_row, name_post, name_state
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.store.deliveries.queue_posts import read_queued_posts
from tests.pipeline.store.ledger import HOUR, Ledger, Post


def test_every_state_reason_and_hold_has_a_word_a_colour_and_an_icon() -> None:
    assert {*STATES} == {*State}
    assert {*REASONS} == {*Reason}
    assert {*HOLDS} == {*Hold}
    assert all(word.label and word.colour and word.icon for word in (*STATES.values(), *REASONS.values()))


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([State.PUBLISHED, State.PUBLISHED], "Live"),
        ([State.PUBLISHED, State.FAILED], "Partly live"),
        ([State.FAILED, State.CANCELLED], "Failed"),
        ([State.CANCELLED, State.CANCELLED], "Canceled"),
        ([State.CANCELLED, State.PUBLISHED], "Live"),
        ([State.SCHEDULED, State.PUBLISHED], "Scheduled"),
        ([State.SCHEDULED, State.UNKNOWN], "Not sure yet"),
        ([State.BLOCKED, State.FAILED], "Needs you"),
    ],
)
def test_a_post_has_the_word_of_the_account_that_needs_somebody_most(
    ledger: Ledger, states: list[State], word: str
) -> None:
    post = ledger.fresh(accounts=len(states), due=HOUR)
    for delivery, state in zip(post.deliveries, states, strict=True):
        ledger.put(Post(id=post.id, workspace=post.workspace, deliveries=[delivery]), state)
    with ledger.database.begin() as c:
        [read] = read_queued_posts(c, [post.id], None)
    assert name_post([one.facts for one in read.deliveries]).label == word
    assert {name_state(one.facts).label for one in read.deliveries} == {
        STATES[state].label for state in states
    }


ACCOUNT = "youtube account acme (0199c0de-0000-7000-8000-000000000000)"
UNKNOWN = {"code": "unknown_accounts", "message": ""}


@pytest.mark.parametrize(
    ("issue", "reason", "more"),
    [
        (
            {"message": f"{ACCOUNT}: YouTube takes videos; this is none."},
            "YouTube takes videos",
            "This is none.",
        ),
        ({"message": f"{ACCOUNT}: A title is needed. Give one."}, "YouTube: A title is needed", "Give one."),
        (
            {"message": "No.", "path": "scheduled_at", "type": "rule"},
            "The time has passed",
            "Give a new one.",
        ),
        ({"message": "Its post 0199c0de-0000-7000-8000-000000000000 is there."}, "Its post is there", ""),
        ({**UNKNOWN, "value": "{0.x}"}, "No such account: {0.x}", ROWS["unknown_accounts"][1]),
        (UNKNOWN, "No such account", ROWS["unknown_accounts"][1]),
    ],
)
def test_what_is_wrong_with_a_row_is_said_without_ids(issue: dict[str, str], reason: str, more: str) -> None:
    assert explain_row({"path": "", **issue}) == (reason, more)
