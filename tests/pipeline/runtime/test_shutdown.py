"""Shutdown: where a slice of work ends, and what becomes of claims when the time is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import (
    Account,
    Draft,
    FinalizeResult,
    LookResult,
    Pending,
    PrepareResult,
    Published,
    Ready,
)
from adapters.errors import CredentialsExpired
from config.consistency import SETTLE_TIME
from pipeline.broker.queues import PUBLISH, REACHABILITY
from pipeline.domain.delivery import State
from pipeline.maintenance.prepare_ahead import refresh_credentials
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.runtime.context import Context, ShutdownSignal
from pipeline.stages.publish import publish, publish_batch
from pipeline.stages.status import look_batch
from pipeline.store.accounts.accounts import read_account
from pipeline.store.checks import checks
from pipeline.store.deliveries.lease import dispatch_looks
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.media.servers import Site, file
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.single_check import run_check
from tests.pipeline.stages.test_reachability import picture
from tests.pipeline.store.ledger import LEASE, Post

QUEUE = PUBLISH[next(p for p in PUBLISH if p == "tiktok")]


@pytest.fixture
def mine(core: CoreFixture) -> CoreFixture:
    """A core with a shutdown signal of its own."""
    core.account("one")
    return replace(core, context=replace(core.context, shutdown=ShutdownSignal()))


@pytest.fixture
def post(mine: CoreFixture) -> Post:
    return mine.ledger.post([mine.accounts["one"]], State.QUEUED)


def soon(context: Context) -> None:
    """Begin the shutdown, with no time for another call."""
    context.shutdown.begin(context.settings.publish.call)


def in_time(context: Context) -> None:
    """Begin the shutdown, with time for a call and a minute more."""
    context.shutdown.begin(context.settings.publish.call + SETTLE_TIME.total_seconds() + 60)


def send(core: CoreFixture, script: Script, post: Post) -> State | None:
    return publish(with_script(core.context, script), post.deliveries[0], 0)


def is_untouched(core: CoreFixture, post: Post) -> None:
    """Assert that the delivery is queued again with a message of its own, and counts no crash."""
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.state, found.armed_at, found.crashes, found.spent) == ("queued", None, 0, 0)
    assert found.lease_until > found.now


def test_the_first_who_says_stop_is_heard() -> None:
    shutdown = ShutdownSignal()
    assert shutdown.time_left() is None
    shutdown.begin(0)
    shutdown.begin(1000)
    assert shutdown.time_left() == timedelta(0)


def test_without_time_for_a_call_a_claim_goes_straight_back(mine: CoreFixture, post: Post) -> None:
    soon(mine.context)
    before, script = mine.messages(QUEUE), Script()
    assert send(mine, script, post) is State.QUEUED
    assert script.calls == []
    is_untouched(mine, post)
    assert mine.messages(QUEUE) == before + 1


def test_with_time_for_a_call_the_slice_is_finished(mine: CoreFixture, post: Post) -> None:
    in_time(mine.context)
    assert send(mine, Script(), post) is State.PUBLISHED


def test_a_slice_ends_after_the_step_it_is_in_and_another_process_goes_on_from_there(
    mine: CoreFixture, post: Post
) -> None:
    def prepare(checkpoint: Any) -> PrepareResult:
        soon(mine.context)
        return Pending(checkpoint={"step": checkpoint.get("step", 0) + 1})

    script = Script(prepare=prepare)
    assert send(mine, script, post) is State.QUEUED
    is_untouched(mine, post)
    assert script.calls == [("prepare", {})]
    assert mine.ledger.read_claimed(post.deliveries[0]).checkpoint == {"step": 1}
    other = replace(mine, context=replace(mine.context, shutdown=ShutdownSignal()))
    assert send(other, Script(), post) is State.PUBLISHED


def test_what_is_ready_is_not_armed_without_time_for_its_answer(mine: CoreFixture, post: Post) -> None:
    def prepare(_: Any) -> PrepareResult:
        soon(mine.context)
        return Ready(checkpoint={"handle": "made"})

    script = Script(prepare=prepare)
    assert send(mine, script, post) is State.QUEUED
    assert script.made("finalize") == 0
    is_untouched(mine, post)
    assert mine.ledger.read_claimed(post.deliveries[0]).checkpoint == {"handle": "made"}


def test_between_arm_and_answer_nothing_ends(mine: CoreFixture, post: Post) -> None:
    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        soon(mine.context)
        return Published(remote_id=draft.delivery_id)

    assert send(mine, Script(finalize=finalize), post) is State.PUBLISHED


def test_the_look_right_after_the_visible_call_is_left_to_another_process(
    mine: CoreFixture, post: Post
) -> None:
    def finalize(*_: object) -> FinalizeResult:
        soon(mine.context)
        return Pending(checkpoint={"handle": "asked"})

    script = Script(finalize=finalize)
    assert send(mine, script, post) is State.PROCESSING
    assert script.made("look") == 0
    assert mine.ledger.read_claimed(post.deliveries[0]).checkpoint == {"handle": "asked"}


def test_a_token_that_is_stale_now_is_refreshed_by_the_next_process(mine: CoreFixture, post: Post) -> None:
    def prepare(_: Any) -> PrepareResult:
        soon(mine.context)
        raise CredentialsExpired("stale")

    script = Script(prepare=prepare)
    assert send(mine, script, post) is State.RETRYING
    assert script.made("refresh") == 0
    assert mine.ledger.delivery(post.deliveries[0]).spent == 0


def test_no_token_is_refreshed_ahead_of_its_end_without_time_to_store_it(mine: CoreFixture) -> None:
    mine.ledger.update(
        "accounts", mine.accounts["one"], "expires_at = now() + interval '1 min', renewable = true"
    )
    script = Script()
    context = with_script(mine.context, script)
    soon(context)
    assert refresh_credentials(context) == 0
    assert refresh_credentials(with_script(replace(mine.context, shutdown=ShutdownSignal()), script)) >= 1
    with mine.context.database.begin() as c:
        _, version, _ = read_account(c, mine.context.vault, mine.accounts["one"])
    assert version == 2


def test_of_a_handful_what_has_not_begun_goes_back(mine: CoreFixture) -> None:
    posts = mine.ledger.posts(3, [mine.accounts["one"]], State.QUEUED)

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        soon(mine.context)
        return Published(remote_id=draft.delivery_id)

    before = mine.messages(QUEUE)
    context = with_script(mine.context, Script(finalize=finalize))
    publish_batch(context, "tiktok", [(p.deliveries[0], 0) for p in posts])
    states = sorted(mine.ledger.state(p.deliveries[0]) for p in posts)
    assert states == [State.PUBLISHED, State.QUEUED, State.QUEUED]
    assert mine.messages(QUEUE) == before + 2


def test_what_is_not_armed_when_the_time_is_over_is_queued_again_and_can_no_longer_be_armed(
    mine: CoreFixture, post: Post
) -> None:
    before = mine.messages(QUEUE)

    def prepare(_: Any) -> PrepareResult:
        mine.context.shutdown.requeue_claims()
        is_untouched(mine, post)
        assert mine.messages(QUEUE) == before + 1
        return Ready(checkpoint={"handle": "late"})

    script = Script(prepare=prepare)
    assert send(mine, script, post) is None, "its claim is lost"
    assert script.made("finalize") == 0
    is_untouched(mine, post)
    [delivery] = post.deliveries
    assert mine.ledger.delivery(delivery).fence == 2, "raised by the claim, and by giving it back"
    assert mine.ledger.moves(delivery)[-1] == ("publish", "publishing", "queued")
    assert mine.ledger.last_why(delivery) == "held: shutdown"
    assert mine.status(post.id) == "pending"
    mine.context.shutdown.requeue_claims()
    assert mine.messages(QUEUE) == before + 1, "nothing is in hand any more"


def test_of_a_handful_all_is_in_hand_until_it_is_settled(mine: CoreFixture) -> None:
    posts = mine.ledger.posts(3, [mine.accounts["one"]], State.QUEUED)

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        if script.made("finalize") == 2:
            mine.context.shutdown.requeue_claims()
        return Published(remote_id=draft.delivery_id)

    script = Script(finalize=finalize)
    publish_batch(with_script(mine.context, script), "tiktok", [(p.deliveries[0], 0) for p in posts])
    found = sorted(mine.ledger.delivery(p.deliveries[0]).state for p in posts)
    assert found == ["published", "published", "queued"], "the settled and the armed one stay what they are"
    assert script.made("finalize") == 2


def test_what_is_armed_when_the_time_is_over_is_looked_at_and_never_sent_again(
    mine: CoreFixture, post: Post
) -> None:
    [delivery] = post.deliveries
    context = replace(mine.context, adapters=with_script(mine.context, Script()).adapters)

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        mine.context.shutdown.requeue_claims()
        assert mine.ledger.state(delivery) is State.PUBLISHING
        assert rescue_expired_leases(context) >= 1, "its lease is over at once"
        assert mine.ledger.state(delivery) is State.UNKNOWN
        return Published(remote_id=draft.delivery_id)

    assert send(mine, Script(finalize=finalize), post) is None
    assert mine.ledger.state(delivery) is State.PUBLISHED, "late proof"


@pytest.mark.parametrize("over", [False, True])
def test_looks_that_can_no_longer_be_made_are_rung_by_the_next_sweep(
    mine: CoreFixture, *, over: bool
) -> None:
    posts = mine.ledger.posts(3, [mine.accounts["one"]], State.PROCESSING)
    ids = {p.deliveries[0] for p in posts}
    for delivery in ids:
        mine.ledger.change(delivery, "next_at = now()")

    def seen(_: object) -> LookResult:
        if over:
            mine.context.shutdown.requeue_claims()
        soon(mine.context)
        return Published(remote_id=f"r{script.made('look')}")

    script = Script(look=seen)
    look_batch(with_script(mine.context, script), [(d, 0, 1) for d in ids])
    assert script.made("look") == 1
    with mine.context.database.begin() as c:
        rung = {ring.delivery for ring in dispatch_looks(c, 10_000, LEASE)} & ids
    assert sorted(mine.ledger.state(d) for d in rung) == [State.PROCESSING, State.PROCESSING]


def test_a_check_under_way_when_the_time_is_over_is_tried_by_another_process(
    mine: CoreFixture, site: Site
) -> None:
    path = "/under-way.jpg"
    picture_file = file(picture(), ETag='"v1"')
    with mine.context.database.begin() as c:
        check = checks.open_check(c, mine.workspace, "image", site.origin + path).id
    before = mine.messages(REACHABILITY)

    def answer(request: Any) -> Any:
        if mine.messages(REACHABILITY) == before:
            mine.context.shutdown.requeue_claims()
            with mine.context.database.begin() as c:
                assert check in checks.list_due_checks(c, 10_000)
        return picture_file(request)

    site.routes[path] = answer
    assert run_check(mine.context, check) == "good"
    assert mine.messages(REACHABILITY) == before + 2, (
        "for another process, and for the slot that makes a thumbnail"
    )
