"""A platform refuses the visible call by a code that no table lists: what it said reaches the person all the same."""

from __future__ import annotations

import pytest

from adapters.contract import Absent, CannotTell, LookResult
from adapters.errors import CredentialsExpired, OutcomeUnknown, Rejected, Unavailable
from pipeline.domain.delivery import State
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising
from tests.pipeline.stages.test_outages import send
from tests.pipeline.stages.test_status import LATE, see

SENTENCE = "We blocked this link because it may lead to spam."
UNCLEAR = OutcomeUnknown("It did not confirm the publish.", platform_code="98", platform_message=SENTENCE)


LOOK_FAILS = Unavailable("down", platform_code="2", platform_message="Service temporarily unavailable")


@pytest.mark.parametrize("fails", [False, True], ids=["looks answer", "looks fail first"])
@pytest.mark.parametrize(
    ("shown", "since", "state", "code"),
    [
        (Absent(), LATE, State.RETRYING, "proven_absent"),
        (CannotTell(reason="no such call"), "working_since = now() - interval '1 day'", State.BLOCKED, None),
    ],
    ids=["absent", "cannot tell"],
)
def test_its_code_and_sentence_stay_when_the_looks_are_over(
    core: CoreFixture, shown: LookResult, since: str, state: State, code: str | None, fails: bool
) -> None:
    post = core.ledger.post([core.account("one")], State.QUEUED)
    [delivery] = post.deliveries
    assert send(core, Script(finalize=raising(UNCLEAR)), post) is State.UNKNOWN
    for error in [LOOK_FAILS, CredentialsExpired("stale")] * fails:
        assert see(core, post, Script(look=raising(error))) is State.UNKNOWN
        stored = core.ledger.delivery(delivery).error
        assert (stored["code"], stored["platform_code"]) == (OutcomeUnknown.code, "98"), "a look has its own"
        look = stored["last_look"]
        assert (look["code"], look["platform_message"]) == (error.code, error.platform_message)
    assert see(core, post, shown) is State.UNKNOWN
    core.ledger.change(delivery, since)
    while see(core, post, shown) is State.UNKNOWN:
        pass
    found = core.ledger.delivery(delivery)
    assert found.state == state
    assert found.error["code"] == (code or OutcomeUnknown.code)
    assert (found.error["platform_code"], found.error["platform_message"]) == ("98", SENTENCE)
    assert "last_look" not in found.error
    assert SENTENCE not in found.error["message"]


def test_a_refusal_for_good_is_not_sent_again_once_absence_is_proven_though_looks_fail_in_between(
    core: CoreFixture,
) -> None:
    blocked = OutcomeUnknown("It did not confirm the publish.", platform_code="368")
    blocked.refusal = Rejected("blocked", code="blocked_by_policy", platform_code="368", next_action="Wait.")
    post = core.ledger.post([core.account("one")], State.QUEUED)
    [delivery] = post.deliveries
    assert send(core, Script(finalize=raising(blocked)), post) is State.UNKNOWN
    assert see(core, post, Script(look=raising(LOOK_FAILS))) is State.UNKNOWN
    core.ledger.change(delivery, LATE)
    while see(core, post, Absent()) is State.UNKNOWN:
        pass
    found = core.ledger.delivery(delivery)
    assert found.state == State.FAILED
    assert (found.error["class"], found.error["fault"]) == ("Rejected", "customer")
    assert (found.error["code"], found.error["next_action"]) == ("blocked_by_policy", "Wait.")


def test_a_later_try_that_the_platform_did_not_answer_is_not_told_with_the_sentence_of_the_earlier_one(
    core: CoreFixture,
) -> None:
    post = core.ledger.post([core.account("one")], State.QUEUED)
    [delivery] = post.deliveries
    for error, told in ((UNCLEAR, SENTENCE), (OutcomeUnknown("The connection broke."), None)):
        assert send(core, Script(finalize=raising(error)), post) is State.UNKNOWN
        assert see(core, post, Script(look=raising(LOOK_FAILS))) is State.UNKNOWN
        core.ledger.change(delivery, LATE)
        while see(core, post, Absent()) is State.UNKNOWN:
            pass
        found = core.ledger.delivery(delivery)
        assert (found.error["code"], found.error["platform_message"]) == ("proven_absent", told)
