"""The inputs of the retry policy, from settings, capabilities and a claimed delivery."""

from __future__ import annotations

from datetime import timedelta

from pipeline.domain.delivery import State
from pipeline.stages.platform_limits import (
    build_retry_policy,
    build_retry_state,
    look_first,
    may_appear_until,
    settle_window,
)
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import CAPABILITIES


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def test_the_platforms_numbers_count_where_ours_are_not_set(core: CoreFixture) -> None:
    s = core.with_settings(
        publish={"look_first": 0.0, "settle_window": 0.0, "crashes": 7, "tries": 6}
    ).context.settings
    policy = build_retry_policy(s, CAPABILITIES)
    assert (policy.tries, policy.crashes) == (6, 7)
    assert (policy.backoff, policy.cap) == (seconds(s.publish.backoff), seconds(s.publish.backoff_cap))
    assert (policy.settle, policy.look_first) == (CAPABILITIES.settle_window, CAPABILITIES.look_every[0])
    assert (policy.look_longest, policy.look_limit) == (CAPABILITIES.look_every[1], CAPABILITIES.look_limit)
    assert policy.asked_cap is None, "an adapter may ask for as long a pause as it likes"
    assert 0 <= policy.chance < 1
    assert policy.chance != build_retry_policy(s, CAPABILITIES).chance


def test_who_is_in_a_hurry_waits_for_neither_looks_nor_windows(core: CoreFixture) -> None:
    s = core.with_settings(publish={"look_first": 2.0, "settle_window": 9.0}).context.settings
    policy = build_retry_policy(s, CAPABILITIES)
    assert (policy.look_first, policy.asked_cap, policy.settle) == (seconds(2), seconds(8), seconds(9))
    assert (look_first(s, CAPABILITIES), settle_window(s, CAPABILITIES)) == (seconds(2), seconds(9))


def test_a_call_may_show_until_its_deadline_its_length_and_the_window_are_over(core: CoreFixture) -> None:
    s = core.with_settings(publish={"call": 20.0, "settle_window": 9.0}).context.settings
    now = core.now()
    assert may_appear_until(now, s, CAPABILITIES) == now + seconds(29)
    assert may_appear_until(None, s, CAPABILITIES) is None


def test_a_delivery_that_nobody_works_on_has_waited_no_time(core: CoreFixture) -> None:
    [delivery] = core.ledger.fresh(State.PUBLISHING).deliveries
    standing = build_retry_state(core.ledger.read_claimed(delivery), core.context.settings, CAPABILITIES)
    assert (standing.waited, standing.armed) == (timedelta(0), False)
    assert (standing.absent_before, standing.late_enough, standing.stale_before) == (False, False, False)
