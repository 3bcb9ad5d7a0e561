"""The broken variants, and which lanes must fail for each. Pure.

A variant is a patch in ``variants/``. ``LANES`` run from fast to slow; a variant names for each lane either the tests
that must fail, or why that lane cannot notice it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

UNIT, MODEL, PROOF, CHAOS = LANES = ("unit", "model", "proof", "chaos")
PATCHES = Path(__file__).parent / "variants"

_STORE = "tests/pipeline/store/deliveries"
_STAGES = "tests/pipeline/stages"
_TRACES = "tests/model/test_traces.py"
_PROOF = "tests/proof/test_publish.py"
_AIMED = ("--only", "aims", "--posts", "150", "--minutes", "2", "--seed", "4242")
_FORGED = ("--only", "sandbox", "--posts", "300", "--minutes", "1", "--seed", "4242")

_OTHER_GUARDS = "the fence and the deadline keep what it lets through from being sent"
_LATE_ANSWERS = "its workers that go on late have an answer to store, not a refusal"
_NO_LISTING = "no listing misses a live post after the settle window"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One broken variant."""

    breaks: str
    """What is broken, in a sentence."""
    caught: Mapping[str, Sequence[str]]
    """Lane that must fail -> arguments of its run: tests, or those of ``tests.chaos``."""
    missed: Mapping[str, str]
    """Lane that does not fail -> why."""

    def __post_init__(self) -> None:
        assert sorted([*self.caught, *self.missed]) == sorted(LANES), self.breaks


VARIANTS: Mapping[str, Variant] = {
    "no-arm": Variant(
        breaks="the visible call is made without committing first that it is",
        caught={
            UNIT: [f"{_STAGES}/test_publish.py"],
            MODEL: [_TRACES],
            PROOF: [f"{_PROOF}::test_answered"],
            CHAOS: _AIMED,
        },
        missed={},
    ),
    "no-fence": Variant(
        breaks="arm, settle, disarm and checkpoint do not ask whether another worker has claimed the delivery",
        caught={
            UNIT: [f"{_STORE}/test_settle.py", f"{_STORE}/test_claim_and_arm.py"],
            MODEL: [_TRACES],
            CHAOS: _AIMED,
        },
        missed={PROOF: _LATE_ANSWERS},
    ),
    "no-fence-at-settle": Variant(
        breaks="settle does not ask whether another worker has claimed the delivery",
        caught={UNIT: [f"{_STORE}/test_settle.py"], MODEL: [_TRACES], CHAOS: _AIMED},
        missed={PROOF: _LATE_ANSWERS},
    ),
    "no-lease": Variant(
        breaks="arm and rescue do not ask whether the lease still runs",
        caught={
            UNIT: [f"{_STORE}/test_claim_and_arm.py", f"{_STORE}/test_rescue.py"],
            MODEL: [_TRACES],
        },
        missed={PROOF: _OTHER_GUARDS, CHAOS: _OTHER_GUARDS},
    ),
    "no-deadline": Variant(
        breaks="the deadline never passes, so a worker that was paused still sends",
        caught={UNIT: [f"{_STAGES}/test_publish.py"], MODEL: [_TRACES], CHAOS: _AIMED},
        missed={PROOF: "its paused workers have made the visible call already"},
    ),
    "blind-retry": Variant(
        breaks="an unclear outcome of the visible call is tried again",
        caught={
            UNIT: ["tests/pipeline/domain/test_retry_policy.py"],
            MODEL: [_TRACES],
            CHAOS: _FORGED,
        },
        missed={PROOF: "its workers crash before they judge a lost answer"},
    ),
    "status-believed": Variant(
        breaks="after the visible call a bare 400, 401, 403, 404 or 429 counts as the platform's refusal",
        caught={
            UNIT: ["tests/adapters/conformance/test_proxy_answers.py"],
            CHAOS: _FORGED,
        },
        missed={
            MODEL: "its platform answers with the adapters' errors, not with HTTP",
            PROOF: "it loses answers and forges none",
        },
    ),
    "absence-after-one-look": Variant(
        breaks="one look that finds nothing proves that the post is not live",
        caught={UNIT: ["tests/pipeline/domain/test_retry_policy.py"], MODEL: [_TRACES]},
        missed={PROOF: _NO_LISTING, CHAOS: _NO_LISTING},
    ),
    "no-epoch": Variant(
        breaks="release, claim and arm do not ask whether the database matches the epoch file",
        caught={UNIT: ["tests/pipeline/store/recovery/test_epoch.py", "tests/pipeline/recovery"]},
        missed=dict.fromkeys((MODEL, PROOF, CHAOS), "no backup is restored in it"),
    ),
    "no-approval": Variant(
        breaks="arm does not ask whether what it sends was approved",
        caught={UNIT: ["tests/pipeline/actions/test_approve.py"]},
        missed={
            **dict.fromkeys((MODEL, PROOF), "none of its posts needs an approval"),
            CHAOS: "its edits end the approval in their own transaction, before arm asks",
        },
    ),
    "generation-ignored": Variant(
        breaks="claim, arm, settle, disarm and checkpoint do not ask whether the delivery was edited since",
        caught={UNIT: [f"{_STORE}/test_claim_and_arm.py", f"{_STORE}/test_settle.py"]},
        missed=dict.fromkeys((MODEL, PROOF, CHAOS), "an edit raises the fence as well"),
    ),
    "no-guard": Variant(
        breaks="arm asks for no fence, no lease and no earlier arm, settle for no fence, and no deadline passes",
        caught={
            UNIT: [f"{_STORE}/test_claim_and_arm.py"],
            MODEL: [_TRACES],
            CHAOS: _AIMED,
        },
        missed={PROOF: "its workers hang one after the other, never at the same place"},
    ),
}
ONE_PER_LANE: Mapping[str, str] = {
    UNIT: "no-epoch",
    MODEL: "absence-after-one-look",
    PROOF: "no-arm",
    CHAOS: "no-deadline",
}
"""Lane -> the variant that the continuous integration runs on it."""
