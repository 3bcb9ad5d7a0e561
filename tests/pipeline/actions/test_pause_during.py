"""A pause for the time of a block: it ends with the block, however that ends, and another's pause stays."""

from __future__ import annotations

import pytest

from pipeline.actions.pauses import lift, pause, pause_during
from pipeline.domain.audit import Actor
from pipeline.store.deliveries.pauses import find_reason
from tests.pipeline.core_fixture import CoreFixture

OURS, THEIRS = "by a program, which lifts it", "the account is being moved"
ACTOR = Actor(kind="command line", name="tests", address="tests@here")


@pytest.fixture
def account(core: CoreFixture) -> str:
    return str(core.account("one"))


def read_reason(core: CoreFixture, account: str) -> str | None:
    with core.context.database.begin() as c:
        return find_reason(c, "account", account)


def act_as_operator(core: CoreFixture, account: str) -> None:
    with core.context.database.begin() as c:
        pause(c, ACTOR, "account", account, THEIRS)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_it_ends_with_an_error_too(core: CoreFixture, account: str, error: type[BaseException]) -> None:
    def fail() -> None:
        with pause_during(core.context.database.begin, ACTOR, "account", account, OURS):
            assert read_reason(core, account) == OURS
            raise error

    with pytest.raises(error):
        fail()
    assert read_reason(core, account) is None


def test_a_pause_of_before_stays_with_its_reason(core: CoreFixture, account: str) -> None:
    act_as_operator(core, account)
    with pause_during(core.context.database.begin, ACTOR, "account", account, OURS):
        assert read_reason(core, account) == THEIRS
    assert read_reason(core, account) == THEIRS


def test_a_pause_that_is_made_in_that_time_stays(core: CoreFixture, account: str) -> None:
    with pause_during(core.context.database.begin, ACTOR, "account", account, OURS):
        act_as_operator(core, account)
    assert read_reason(core, account) == THEIRS


def test_a_lift_in_that_time_is_not_repeated(core: CoreFixture, account: str) -> None:
    during = pause_during(core.context.database.begin, ACTOR, "account", account, OURS)
    with during, core.context.database.begin() as c:
        assert lift(c, ACTOR, "account", account)
    assert read_reason(core, account) is None
