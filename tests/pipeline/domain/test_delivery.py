"""The states of a delivery: only moves of the table are allowed. ``test_states.py`` compares it with its page."""

from __future__ import annotations

from itertools import product

import pytest

from pipeline.domain.delivery import (
    ALWAYS_ARMED,
    LOOKED_AT,
    MOVES,
    SETTLED,
    UNSETTLED,
    WAITING,
    ForbiddenMove,
    Mover,
    State,
    get_resume_state,
    may_be_changed,
    require_move,
)

STAGES = (Mover.REACHABILITY, Mover.DELAY, Mover.PUBLISH, Mover.STATUS)
S = State


def test_the_table_has_a_row_for_every_state_and_only_known_movers_and_targets() -> None:
    assert set(MOVES) == set(State)
    for row in MOVES.values():
        assert set(row) <= set(Mover)
        for targets in row.values():
            assert targets
            assert targets <= set(State)


@pytest.mark.parametrize("state", State)
def test_exactly_one_stage_advances_what_is_not_settled(state: State) -> None:
    """A blocked one waits for an operator, not for a stage. Which moves the stage makes is drawn."""
    assert len([mover for mover in STAGES if mover in MOVES[state]]) == (state in UNSETTLED - {S.BLOCKED})


@pytest.mark.parametrize("origin", State)
def test_what_the_table_does_not_have_is_refused(origin: State) -> None:
    for mover, target in product(Mover, State):
        if target in MOVES[origin].get(mover, ()):
            require_move(origin, mover, target)
        else:
            said = f"{mover} may not move a delivery from {origin} to {target}"
            with pytest.raises(ForbiddenMove, match=said):
                require_move(origin, mover, target)


def test_settled_is_settled() -> None:
    assert {S.PUBLISHED, S.FAILED, S.CANCELLED} == SETTLED
    assert set(State) - SETTLED == UNSETTLED
    assert MOVES[S.PUBLISHED] == {}
    assert set(MOVES[S.CANCELLED]) == {Mover.EDIT, Mover.RESTORE}, (
        "an edit may put an account on the post again, and a restore may have to know that one did"
    )
    assert set(MOVES[S.FAILED]) == {Mover.RETRY, Mover.EDIT, Mover.RESTORE}
    assert S.FAILED in MOVES[S.FAILED][Mover.EDIT], (
        "an edited failed post stays failed until it is given a time"
    )


@pytest.mark.parametrize("state", State)
def test_restore_takes_anything_that_is_not_published_to_unknown(state: State) -> None:
    assert MOVES[state].get(Mover.RESTORE) == (None if state is S.PUBLISHED else frozenset({S.UNKNOWN}))


@pytest.mark.parametrize("state", State)
def test_proof_of_life_settles_anything_unsettled(state: State) -> None:
    expected = frozenset({S.PUBLISHED, S.BLOCKED}) if state in UNSETTLED else None
    assert MOVES[state].get(Mover.PROOF) == expected


@pytest.mark.parametrize("state", State)
def test_edit_and_cancel_come_together_and_never_after_the_visible_call(state: State) -> None:
    changeable = state in UNSETTLED - ALWAYS_ARMED
    assert (Mover.CANCEL in MOVES[state]) is changeable
    if changeable:
        assert MOVES[state][Mover.CANCEL] == {S.CANCELLED}
        assert MOVES[state][Mover.EDIT] == {S.ACCEPTED, S.SCHEDULED}
    assert may_be_changed(state, armed=False) is changeable
    assert may_be_changed(state, armed=True) is False


def test_what_was_armed_is_looked_at_and_never_sent_again() -> None:
    assert get_resume_state(armed=True) is S.UNKNOWN
    assert get_resume_state(armed=False) is S.RETRYING


def test_the_groups_of_states_do_not_overlap() -> None:
    assert not WAITING & LOOKED_AT
    assert ALWAYS_ARMED < LOOKED_AT
    assert WAITING | LOOKED_AT <= UNSETTLED
