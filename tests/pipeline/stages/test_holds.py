"""Why a delivery waits: written by a worker that puts it back, cleared by the next one, and read by everyone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Pending, PrepareResult, Ready
from adapters.limit import Rate
from config.consistency import SETTLE_TIME
from pipeline.actions.cancel_delete_retry import cancel
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.runtime.context import ShutdownSignal
from pipeline.stages import delay
from pipeline.stages.post_state import compute_version, is_current
from pipeline.stages.publish import publish
from pipeline.store.deliveries.pauses import pause
from pipeline.store.posts.views import PostView, read_post
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, with_script
from tests.pipeline.store.ledger import HOUR, Post

MINUTE = timedelta(minutes=1)


@pytest.fixture
def post(core: CoreFixture) -> Post:
    return core.ledger.post([core.account("one")], State.QUEUED)


def send(core: CoreFixture, post: Post, script: Script) -> State | None:
    [delivery] = post.deliveries
    return publish(with_script(core.context, script), delivery, core.ledger.delivery(delivery).generation)


def view(core: CoreFixture, post: Post) -> PostView:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    return found


def is_held(core: CoreFixture, post: Post, hold: Hold) -> None:
    """Assert that the row, its last move and the reader's view name the hold."""
    [delivery], [seen] = post.deliveries, view(core, post).deliveries
    assert core.ledger.delivery(delivery).held_for == hold
    assert core.ledger.last_why(delivery) == f"held: {hold}"
    assert seen.held_for is hold


def fill(core: CoreFixture, step: Any, post: Post) -> Script:
    """Return a script whose bucket of a step is taken by another post."""
    script = Script(can=replace(CAPABILITIES, rates=(Rate(step=step, count=1, per=MINUTE),)))
    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, other, script) is State.PUBLISHED
    assert send(core, post, script) is State.SCHEDULED
    return script


# --- decided on a claimed delivery -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "hold"), [("prepare", Hold.RATE), ("finalize", Hold.MIN_GAP)])
def test_a_bucket_and_the_next_claim_clears_it(core: CoreFixture, post: Post, step: str, hold: Hold) -> None:
    fill(core, step, post)
    is_held(core, post, hold)
    [delivery] = post.deliveries
    core.ledger.change(delivery, "next_at = now()")
    delay.release_due(core.context)
    assert core.ledger.delivery(delivery).held_for is None
    assert send(core, post, Script()) is State.PUBLISHED
    assert view(core, post).deliveries[0].held_for is None


@pytest.mark.parametrize("fills_while_preparing", [False, True])
def test_a_full_day_says_when_there_is_room(
    core: CoreFixture, post: Post, *, fills_while_preparing: bool
) -> None:
    can = replace(CAPABILITIES, daily_posts=1)

    def publish_another() -> None:
        other = core.ledger.post([core.accounts["one"]], State.QUEUED)
        assert send(core, other, Script(can=can)) is State.PUBLISHED

    def prepare(_: Any) -> PrepareResult:
        publish_another()
        return Ready(checkpoint={"handle": "h"})

    if not fills_while_preparing:
        publish_another()
    script = Script(can=can, prepare=prepare) if fills_while_preparing else Script(can=can)
    assert send(core, post, script) is State.SCHEDULED
    assert script.made("prepare") == int(fills_while_preparing)
    is_held(core, post, Hold.DAILY_QUOTA)
    seen = view(core, post)
    next_at = seen.deliveries[0].next_at
    assert next_at is not None
    assert timedelta(hours=23) < next_at - seen.now <= timedelta(days=1)


@pytest.mark.parametrize("ends_while_preparing", [False, True])
def test_the_end_of_its_worker(core: CoreFixture, post: Post, *, ends_while_preparing: bool) -> None:
    signal = ShutdownSignal()
    ending = replace(core, context=replace(core.context, shutdown=signal))

    def prepare(_: Any) -> PrepareResult:
        signal.begin(SETTLE_TIME.total_seconds())
        return Pending(checkpoint={"step": 1}, wait=timedelta(0))

    if not ends_while_preparing:
        signal.begin(SETTLE_TIME.total_seconds())
    assert send(ending, post, Script(prepare=prepare)) is State.QUEUED
    is_held(core, post, Hold.SHUTDOWN)
    assert send(core, post, Script()) is State.PUBLISHED


def test_a_cancel_clears_it(core: CoreFixture, post: Post) -> None:
    fill(core, "prepare", post)
    cancel(core.context, core.caller, [post.id], None)
    assert core.ledger.delivery(post.deliveries[0]).held_for is None


# --- what readers see ------------------------------------------------------------------------------------------------


def test_the_tag_of_a_post_changes_with_its_hold_and_an_edit_does_not_need_it(core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], due=-HOUR)
    before = compute_version(view(core, post))
    with core.context.database.begin() as c:
        pause(c, "account", str(core.accounts["one"]), "checking")
    seen = view(core, post)
    assert compute_version(seen) != before
    assert is_current(f'"{before}"', seen)
    core.ledger.change(post.deliveries[0], 'error = CAST(\'{"code": "x"}\' AS jsonb)')
    assert not is_current(f'"{before}"', view(core, post))
