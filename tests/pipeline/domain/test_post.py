"""The status of a post, derived from its accounts, and as readers see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from pipeline.domain.delivery import Reason, State
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status, derive_post_status

P = PostStatus
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)

#: A state, with its reason where it has one.
STANDINGS = [
    *((state, None) for state in State if state is not State.BLOCKED),
    *((State.BLOCKED, reason) for reason in Reason),
]

#: The contract's words, as a reader sees them: (due later, due).
WORDS = {
    (State.ACCEPTED, None): (P.SCHEDULED, P.PENDING),
    (State.SCHEDULED, None): (P.SCHEDULED, P.PENDING),
    (State.PREPARING, None): (P.SCHEDULED, P.PENDING),
    (State.QUEUED, None): (P.SCHEDULED, P.PENDING),
    (State.PUBLISHING, None): (P.PENDING, P.PENDING),
    (State.PROCESSING, None): (P.PENDING, P.PENDING),
    (State.UNKNOWN, None): (P.PENDING, P.PENDING),
    (State.BLOCKED, Reason.IS_IT_LIVE): (P.PENDING, P.PENDING),
    (State.BLOCKED, Reason.RECONNECT): (P.RETRY, P.RETRY),
    (State.BLOCKED, Reason.PERSON_NEEDED): (P.RETRY, P.RETRY),
    (State.RETRYING, None): (P.RETRY, P.RETRY),
    (State.PUBLISHED, None): (P.POSTED, P.POSTED),
    (State.FAILED, None): (P.FAILED, P.FAILED),
    (State.CANCELLED, None): (P.CANCELED, P.CANCELED),
}


def test_every_standing_has_its_word() -> None:
    assert set(WORDS) == set(STANDINGS)


@pytest.mark.parametrize(("state", "reason"), STANDINGS)
def test_an_account_reads_as_the_contract_says(state: State, reason: Reason | None) -> None:
    stored = derive_account_status(state, reason)
    assert (apply_due_time(stored, LATER, NOW), apply_due_time(stored, NOW, NOW)) == WORDS[(state, reason)]


def expected(words: set[P]) -> P:
    """The contract's rule, written a second time."""
    for urgent in (P.PENDING, P.RETRY, P.SCHEDULED):
        if urgent in words:
            return urgent
    if words == {P.POSTED}:
        return P.POSTED
    if words == {P.CANCELED}:
        return P.CANCELED
    return P.PARTIAL if P.POSTED in words else P.FAILED


@pytest.mark.parametrize("due", [NOW, LATER])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_post_of_any_standings_reads_as_the_contract_says(number: int, due: datetime) -> None:
    for standings in product(STANDINGS, repeat=number):
        words = [apply_due_time(derive_account_status(*standing), due, NOW) for standing in standings]
        seen = apply_due_time(derive_post_status(words), due, NOW)
        assert seen is expected(set(words)), standings


def test_only_scheduled_turns_pending_with_time() -> None:
    for word in P:
        assert apply_due_time(word, LATER, NOW) is word
        assert apply_due_time(word, NOW, NOW) is (P.PENDING if word is P.SCHEDULED else word)
