"""The error that readers are shown: what may be live never reads as unsent or as worth a retry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.delivery_error import describe_last_look, get_own_error, is_beyond_looks, present_error

AT = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)
OWN: dict[str, Any] = {
    "class": "OutcomeUnknown",
    "code": "outcome_unknown",
    "retryable": False,
    "message": "The answer of the platform was lost.",
    "platform_code": "98",
}
LOOK = {"class": "Unavailable", "code": "platform_unreachable", "message": "TikTok could not be reached."}
BEYOND = {**LOOK, "code": "cannot_be_asked", "message": "The platform cannot be asked: it has no list."}
EARLIER = {"class": "Unavailable", "code": "x", "retryable": True, "message": "Nothing was sent."}


@pytest.mark.parametrize("state", list(State))
def test_what_was_not_sent_or_is_settled_shows_what_is_stored(state: State) -> None:
    assert present_error(EARLIER, state, None, AT) == EARLIER
    if state in SETTLED:
        assert present_error(EARLIER, state, AT, AT) == EARLIER


@pytest.mark.parametrize(("state", "stored"), [(State.PUBLISHING, EARLIER), (State.PROCESSING, None)])
def test_before_the_first_answer_there_is_no_error(state: State, stored: Any) -> None:
    assert present_error(stored, state, AT, None) is None


@pytest.mark.parametrize("stored", [None, EARLIER, OWN, {**OWN, "last_look": LOOK}])
@pytest.mark.parametrize("next_at", [AT, None])
def test_an_unknown_outcome_may_be_live_and_is_looked_at(stored: Any, next_at: datetime | None) -> None:
    shown = present_error(stored, State.UNKNOWN, AT, next_at)
    assert shown is not None
    assert (shown["class"], shown["retryable"]) == ("OutcomeUnknown", False)
    assert shown["message"].startswith("It may be live. ")
    when = "at 2026-11-29 09:30:00 UTC" if next_at else "now"
    assert shown["message"].endswith(f"It is looked at again {when}.")
    assert "Nothing was sent" not in shown["message"]
    assert ("The last look failed: TikTok could not be reached." in shown["message"]) == (
        "last_look" in (stored or {})
    )


def test_what_no_look_can_show_says_when_an_operator_is_asked() -> None:
    stored = {**OWN, "last_look": BEYOND}
    shown = present_error(stored, State.UNKNOWN, AT, AT)
    assert shown is not None
    assert shown["message"].endswith(
        "it has no list. An operator is asked to decide at 2026-11-29 09:30:00 UTC."
    )
    assert is_beyond_looks(shown)
    assert not is_beyond_looks({**OWN, "last_look": LOOK})
    assert describe_last_look(OWN) == []


def test_a_blocked_one_keeps_its_question_and_names_no_look() -> None:
    shown = present_error({**OWN, "next_action": "Look at the account."}, State.BLOCKED, AT, None)
    assert shown is not None
    assert shown["message"] == "It may be live. The answer of the platform was lost."
    assert shown["next_action"] == "Look at the account."


def test_the_own_error_is_kept_without_the_looks() -> None:
    assert get_own_error({**OWN, "last_look": LOOK}) == OWN
    assert get_own_error(EARLIER)["retryable"] is False
