"""The states of a delivery: the table of moves is total, and only its moves are allowed."""

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

ADVANCES = {  # the table of the stages
    S.ACCEPTED: (Mover.REACHABILITY, {S.SCHEDULED, S.FAILED}),
    S.SCHEDULED: (Mover.DELAY, {S.QUEUED, S.FAILED, S.BLOCKED}),  # the last two are the late policy
    S.RETRYING: (Mover.DELAY, {S.QUEUED, S.FAILED, S.BLOCKED}),
    S.QUEUED: (Mover.PUBLISH, {S.PUBLISHING}),
    S.PUBLISHING: (
        Mover.PUBLISH,
        {
            S.PUBLISHED,
            S.PREPARING,
            S.PROCESSING,
            S.SCHEDULED,
            S.QUEUED,
            S.RETRYING,
            S.UNKNOWN,
            S.BLOCKED,
            S.FAILED,
        },
    ),
    S.PREPARING: (Mover.STATUS, {S.PREPARING, S.QUEUED, S.RETRYING, S.BLOCKED, S.FAILED}),
    S.PROCESSING: (Mover.STATUS, {S.PUBLISHED, S.PROCESSING, S.UNKNOWN, S.RETRYING, S.BLOCKED, S.FAILED}),
    S.UNKNOWN: (Mover.STATUS, {S.PUBLISHED, S.PROCESSING, S.UNKNOWN, S.RETRYING, S.BLOCKED, S.FAILED}),
}


def test_the_table_has_a_row_for_every_state_and_only_known_movers_and_targets() -> None:
    assert set(MOVES) == set(State)
    for row in MOVES.values():
        assert set(row) <= set(Mover)
        for targets in row.values():
            assert targets
            assert targets <= set(State)


@pytest.mark.parametrize("state", State)
def test_exactly_one_stage_advances_what_is_not_settled(state: State) -> None:
    mine = [mover for mover in STAGES if mover in MOVES[state]]
    if state in SETTLED or state is S.BLOCKED:  # a blocked one waits for an operator, not for a stage
        assert mine == []
    else:
        mover, targets = ADVANCES[state]
        assert mine == [mover]
        assert MOVES[state][mover] == targets


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
    assert MOVES[S.FAILED][Mover.RETRY] == {S.ACCEPTED}
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


def test_a_person_decides_only_what_nobody_else_can_tell() -> None:
    assert {s for s in State if Mover.DECIDE in MOVES[s]} == {S.UNKNOWN, S.BLOCKED}
    assert {s for s in State if Mover.RESUME in MOVES[s]} == {S.BLOCKED}
    assert MOVES[S.BLOCKED][Mover.RESUME] == {S.RETRYING, S.UNKNOWN}


def test_what_was_armed_is_looked_at_and_never_sent_again() -> None:
    assert get_resume_state(armed=True) is S.UNKNOWN
    assert get_resume_state(armed=False) is S.RETRYING


def test_a_rescue_never_sends_an_armed_delivery_again() -> None:
    assert {s for s in State if Mover.RESCUE in MOVES[s]} == {S.QUEUED, S.PUBLISHING}
    assert MOVES[S.PUBLISHING][Mover.RESCUE] == {S.QUEUED, S.BLOCKED, S.UNKNOWN}


def test_the_groups_of_states_do_not_overlap() -> None:
    assert not WAITING & LOOKED_AT
    assert ALWAYS_ARMED < LOOKED_AT
    assert WAITING | LOOKED_AT <= UNSETTLED
