"""What a lost response to the visible call leads to: as observed, and as the adapter's README documents it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapters.contract import Absent, CannotTell, Platform, Published, Ready
from adapters.errors import OutcomeUnknown
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.environment import ROOT, Environment
from tests.adapters.conformance.faults import FAULT_OPTIONS
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation

EFFECT_FAULTS = ("effect-then-drop", "effect-then-5xx", "effect-then-garbage", "effect-then-answer")
NO_EFFECT_FAULTS = ("drop", "5xx", "answer")
LOST_RESPONSE_FAULTS = (*EFFECT_FAULTS, *NO_EFFECT_FAULTS)
FOUND_BY_LOOK, LEFT_TO_PERSON, SENT_AGAIN = "found by look", "left to a person", "proven absent, sent again"
DUPLICATE_REFUSED = "left to a person, whose repeat is refused as duplicate"
HEADER = ("post kind", "it went out", "it did not", "after a restore")


@dataclass(frozen=True, kw_only=True, slots=True)
class LostResponse:
    """The outcome of a delivery whose response was lost."""

    simulation: DeliverySimulation
    live: int
    outcome: str


def lose_response(environment: Environment, post_case: PostCase, fault: str) -> LostResponse:
    """Publish while the fault loses the visible call's response, and name the outcome."""
    environment.clear_faults()
    environment.add_fault(post_case.sandbox_platform, "finalize", fault, **FAULT_OPTIONS.get(fault, {}))
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run(lambda s: bool(s.errors))
    assert isinstance(simulation.errors[-1], OutcomeUnknown), simulation.errors
    assert simulation.state is State.UNKNOWN
    before = len(simulation.look_results)
    simulation.run()
    return LostResponse(
        simulation=simulation,
        live=len(environment.list_live(simulation.account)),
        outcome=_name_outcome(simulation, before),
    )


def _name_outcome(simulation: DeliverySimulation, before: int) -> str:
    if simulation.state is State.PUBLISHED:
        is_absent = any(isinstance(result, Absent | Ready) for result in simulation.look_results[before:])
        return SENT_AGAIN if is_absent else FOUND_BY_LOOK
    assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), (
        simulation.state,
        simulation.errors,
    )
    assert isinstance(simulation.look_results[-1], CannotTell), simulation.look_results
    return LEFT_TO_PERSON


def publish_again(simulation: DeliverySimulation) -> str:
    """Return what a person's "publish again" leads to when the post was already live."""
    simulation.resolve_publish_again()
    simulation.run()
    assert simulation.state is State.PUBLISHED, simulation.errors
    assert isinstance(simulation.published, Published)
    return DUPLICATE_REFUSED if simulation.published.notes.get("duplicate") else LEFT_TO_PERSON


# --- the READMEs ------------------------------------------------------------------------------------------------------


@cache
def read_outcome_table(readme: Path) -> Mapping[str, tuple[str, str, str]]:
    """Return a README's table "What a lost answer leads to": post kind -> the other columns of HEADER."""
    section = (
        readme.read_text(encoding="utf-8")
        .partition("\n## What a lost answer leads to\n")[2]
        .partition("\n## ")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    start = next((n for n, row in enumerate(rows) if tuple(row) == HEADER), None)
    assert start is not None, f"{readme} has no table with the header {HEADER}"
    found: dict[str, tuple[str, str, str]] = {}
    for row in rows[start + 2 :]:
        if len(row) != len(HEADER):
            break
        found[row[0]] = (row[1], row[2], row[3])
    return found


READMES = {platform: ROOT / "adapters" / platform.value / "README.md" for platform in Platform}


def get_documented_outcomes(post_case: PostCase) -> tuple[str, str, str]:
    """Return the outcomes in the adapter's README: (it went out, it did not, after a restore)."""
    return read_outcome_table(post_case.readme or READMES[post_case.platform])[post_case.kind]
