"""The evidence of an explanation, on a real ledger: checks, the day's count, the grant, the attempt and its error."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from adapters.contract import Platform
from adapters.errors import Rejected
from adapters.limit import Rate
from pipeline.actions.explain import ExplainedDelivery, explain_post
from pipeline.domain.delivery import State
from pipeline.domain.explanation_action import Turn
from pipeline.domain.hold import Hold
from pipeline.runtime.context import Context
from pipeline.stages.publish import publish
from pipeline.store.checks.checks import postpone_check
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, raising, with_script
from tests.pipeline.store.ledger import Post

RATE = Rate(step="finalize", count=6, per=timedelta(minutes=1))


def explained(core: CoreFixture, post: Post, context: Context | None = None) -> ExplainedDelivery:
    found = explain_post(context or core.context, core.workspace, post.id)
    assert found is not None
    return found.deliveries[0]


def send(context: Context, core: CoreFixture, post: Post) -> State | None:
    [delivery] = post.deliveries
    return publish(context, delivery, core.ledger.delivery(delivery).generation)


def test_a_full_day_shows_its_count_its_limit_and_when_it_goes_on(core: CoreFixture) -> None:
    account = core.account("one")
    context = with_script(core.context, Script(can=replace(CAPABILITIES, daily_posts=1, rates=(RATE,))))
    first, second = (core.ledger.post([account], State.QUEUED) for _ in range(2))
    assert send(context, core, first) is State.PUBLISHED
    assert send(context, core, second) is State.SCHEDULED
    found = explained(core, second, context)
    assert found.explanation.turn is Turn.PLATFORM
    assert found.day is not None
    assert (found.day.used, found.day.limit, found.day.per) == (1, 1, "account")
    assert found.rates == [RATE]
    assert found.explanation.next_at == core.ledger.delivery(second.deliveries[0]).next_at
    assert found.evidence.why == "held: daily_quota"
    settled = explained(core, first, context)
    assert (settled.explanation.turn, settled.day, list(settled.rates)) == (None, None, [])


def test_a_refusal_shows_the_attempt_and_asks_the_customer(core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], State.QUEUED)
    refusal = Rejected("Too long.", code="caption_too_long")
    assert send(with_script(core.context, Script(prepare=raising(refusal))), core, post) is State.FAILED
    found = explained(core, post)
    assert found.explanation.turn is Turn.CUSTOMER
    assert (found.evidence.attempt, found.evidence.attempt_outcome) == (1, "failed")
    assert found.evidence.why == "Rejected: Too long."
    assert found.explanation.action is not None
    assert found.explanation.action.command.startswith("slipway post edit ")
    assert found.explanation.since == found.evidence.moved_at


def test_media_that_do_not_answer_are_the_customers_turn_with_what_was_seen(core: CoreFixture) -> None:
    core.account("one")
    post = core.accept(scheduled_at=core.now() + timedelta(days=1))
    stored = Post(id=post.id, workspace=core.workspace, deliveries=[d.id for d in core.deliveries(post.id)])
    waits = explained(core, stored)
    assert (waits.view.held_for, waits.explanation.turn) == (Hold.CHECKING, Turn.US)
    [check] = core.check_ids("https://media.example/v.mp4")
    with core.context.database.begin() as c:
        postpone_check(c, check, timedelta(minutes=1), "it answered 404")
    found = explained(core, stored)
    assert found.explanation.turn is Turn.CUSTOMER
    assert "it answered 404" in found.explanation.summary
    [shown] = found.evidence.checks
    assert (shown.url, shown.seen) == ("https://media.example/v.mp4", "it answered 404")


def test_what_a_restricted_key_may_not_see_is_not_explained(core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one"), core.account("two", Platform.YOUTUBE)])
    assert explain_post(core.context, core.workspace, post.id, [core.accounts["one"]]) is None
    assert explain_post(core.context, core.workspace, uuid4()) is None
    assert explain_post(core.context, uuid4(), post.id) is None
