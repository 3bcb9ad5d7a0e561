"""The diagram in ``pipeline/states.md`` shows exactly the moves of ``domain.delivery.MOVES``."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.domain.delivery import MOVES, SETTLED, Mover, State

PAGE = Path(__file__).parents[3] / "pipeline" / "states.md"
NOT_DRAWN = frozenset({Mover.CANCEL, Mover.EDIT, Mover.PROOF, Mover.RESTORE})
ARROW = re.compile(r"^    (?P<origin>[a-z]+) --> (?P<target>[a-z]+): (?P<movers>[a-z, ]+)$", re.MULTILINE)
ROW = re.compile(r"^\| (?P<states>`[a-z` ]+`) \| ", re.MULTILINE)


def test_every_move_is_an_arrow_and_every_arrow_a_move() -> None:
    drawn = {
        (State(arrow["origin"]), Mover(mover), State(arrow["target"]))
        for arrow in ARROW.finditer(PAGE.read_text())
        for mover in arrow["movers"].split(", ")
    }
    moves = {
        (origin, mover, target)
        for origin, movers in MOVES.items()
        for mover, targets in movers.items()
        for target in targets
        if mover not in NOT_DRAWN
    }
    assert drawn == moves


def test_the_movers_that_are_not_drawn_have_a_row() -> None:
    rows = re.findall(r"^\| ([a-z]+) \| ", PAGE.read_text(), re.MULTILINE)
    assert set(map(str, NOT_DRAWN)) <= set(rows)


def test_every_state_is_explained_once() -> None:
    explained = [
        State(name) for row in ROW.finditer(PAGE.read_text()) for name in re.findall(r"[a-z]+", row["states"])
    ]
    assert sorted(explained) == sorted(State)


def test_settled_states_end_the_diagram() -> None:
    ends = re.findall(r"^    ([a-z]+) --> \[\*\]$", PAGE.read_text(), re.MULTILINE)
    assert {State(name) for name in ends} == SETTLED
