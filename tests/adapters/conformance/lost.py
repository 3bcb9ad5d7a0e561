"""What a lost answer to the visible call leads to: as the suite sees it, and as the adapter's README says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapters.contract import Absent, CannotTell, Platform, Published, Ready
from adapters.errors import OutcomeUnknown
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.environment import ROOT, Ground
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.walk import Walk

WENT_OUT = ("effect-then-drop", "effect-then-5xx", "effect-then-garbage")
DID_NOT = ("drop", "5xx")
LOST = (*WENT_OUT, *DID_NOT)
FOUND, PERSON, AGAIN = "found by look", "left to a person", "proven absent, sent again"
DUPLICATE = "left to a person, whose repeat is refused as duplicate"
HEADER = ("post kind", "it went out", "it did not")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What became of one lost answer."""

    walk: Walk
    live: int
    word: str


def fate(ground: Ground, subject: Subject, fault: str) -> Fate:
    """Publishes while the visible call's answer is lost in this way, and names what happens next."""
    ground.calm()
    ground.fault(subject.stand_in, "finalize", fault)
    walk = Walk.of(ground, subject)
    walk.run(lambda w: bool(w.errors))
    assert isinstance(walk.errors[-1], OutcomeUnknown), walk.errors
    assert walk.state is State.UNKNOWN
    before = len(walk.seen)
    walk.run()
    return Fate(walk=walk, live=len(ground.live(walk.account)), word=_word(walk, before))


def _word(walk: Walk, before: int) -> str:
    if walk.state is State.PUBLISHED:
        return AGAIN if any(isinstance(seen, Absent | Ready) for seen in walk.seen[before:]) else FOUND
    assert (walk.state, walk.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), (walk.state, walk.errors)
    assert isinstance(walk.seen[-1], CannotTell), walk.seen
    return PERSON


def again(walk: Walk) -> str:
    """What a person's "publish again" leads to where the post was live all along: only asked where README says so."""
    walk.person_says_publish_again()
    walk.run()
    assert walk.state is State.PUBLISHED, walk.errors
    assert isinstance(walk.published, Published)
    return DUPLICATE if walk.published.notes.get("duplicate") else PERSON


# --- the README's word ------------------------------------------------------------------------------------------------


@cache
def told(readme: Path) -> Mapping[str, tuple[str, str]]:
    """The table under "What a lost answer leads to" whose header is HEADER: post kind -> (went out, did not)."""
    section = (
        readme.read_text(encoding="utf-8")
        .partition("\n## What a lost answer leads to\n")[2]
        .partition("\n## ")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    start = next((n for n, row in enumerate(rows) if tuple(row) == HEADER), None)
    assert start is not None, f"{readme} has no table with the header {HEADER}"
    found: dict[str, tuple[str, str]] = {}
    for row in rows[start + 2 :]:
        if len(row) != len(HEADER):
            break
        found[row[0]] = (row[1], row[2])
    return found


READMES = {platform: ROOT / "adapters" / platform.value / "README.md" for platform in Platform}


def expected(subject: Subject) -> tuple[str, str]:
    """What the README says of this kind: (it went out, it did not)."""
    return told(subject.readme or READMES[subject.platform])[subject.kind]
