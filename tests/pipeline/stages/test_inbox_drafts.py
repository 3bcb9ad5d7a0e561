"""Inbox drafts have a daily limit of their own: the sixth waits, and a post does not; forecasts count them so too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Platform
from adapters.tiktok.adapter import TikTokOptions
from adapters.tiktok.limits import CAPABILITIES as TIKTOK
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import State
from pipeline.runtime.context import Context
from pipeline.stages.ingest import BatchIngest, accept
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest
from pipeline.stages.publish import publish
from pipeline.store.database import row
from pipeline.store.deliveries.daily_quota import DailyQuota, count_planned
from tests.pipeline.core_fixture import GOOD_IMAGE, CoreFixture, with_options
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, with_script
from tests.pipeline.store.ledger import HOUR, Post

DRAFT = '{"post_mode": "MEDIA_UPLOAD"}'


def add_drafts(core: CoreFixture, count: int) -> Sequence[Post]:
    posts = [core.ledger.post([core.accounts["one"]], State.QUEUED) for _ in range(count)]
    with core.context.database.begin() as c:
        for post in posts:
            row(
                c,
                "UPDATE posts SET tiktok = CAST(:o AS jsonb) WHERE id = :id RETURNING id",
                o=DRAFT,
                id=post.id,
            )
    return posts


def bind(core: CoreFixture, **limits: Any) -> Context:
    """Return the context with a scripted TikTok that knows drafts."""
    context = with_script(core.context, Script(can=replace(CAPABILITIES, **limits)))
    context.adapters[Platform.TIKTOK].post_options = TikTokOptions
    return context


def send(core: CoreFixture, context: Context, post: Post) -> State | None:
    [delivery] = post.deliveries
    return publish(context, delivery, core.ledger.delivery(delivery).generation)


def test_a_draft_over_the_limit_waits_until_the_oldest_is_a_day_old(core: CoreFixture) -> None:
    core.account("one")
    context = bind(core, daily_drafts=2, daily_posts=1)
    drafts = add_drafts(core, 3)
    assert [send(core, context, post) for post in drafts] == [
        State.PUBLISHED,
        State.PUBLISHED,
        State.SCHEDULED,
    ]
    held = core.ledger.delivery(drafts[2].deliveries[0])
    assert timedelta(hours=23) < held.next_at - held.now <= timedelta(hours=24)
    assert held.spent == 0


def accept_each(core: CoreFixture, requests: Sequence[PostRequest]) -> list[Any]:
    return [accept(core.context, core.caller, request) for request in requests]


def accept_together(core: CoreFixture, requests: Sequence[PostRequest]) -> list[Any]:
    batch = [Submission(caller=core.caller, request=request) for request in requests]
    return list(BatchIngest(core.context).ingest(batch))


def queue(core: CoreFixture, accepted: AcceptedPost) -> Post:
    """Queue a stored post, due by now."""
    [delivery] = core.deliveries(accepted.id)
    post = Post(id=accepted.id, workspace=core.workspace, deliveries=[delivery.id])
    core.ledger.change(delivery.id, "due_at = now()")
    core.ledger.put(post, State.QUEUED)
    return post


@pytest.mark.parametrize("ingest", [accept_each, accept_together])
def test_the_posts_that_are_warned_of_are_those_that_publish_holds(
    core: CoreFixture, ingest: Callable[[CoreFixture, Sequence[PostRequest]], list[Any]]
) -> None:
    """25 of one account and day: nine drafts and sixteen posts, in turns."""
    core.account("one")
    core = replace(core, context=bind(core, daily_drafts=TIKTOK.daily_drafts, daily_posts=TIKTOK.daily_posts))
    core.decided("https://media.example/1.jpg", "image", facts=GOOD_IMAGE)
    media = {"type": "slideshow", "urls": ["https://media.example/1.jpg"]}
    due, draft = core.now() + HOUR, {"post_mode": "MEDIA_UPLOAD"}
    accepted = ingest(
        core,
        [
            core.request(caption=str(n), media=media, scheduled_at=due, tiktok=None if n % 3 else draft)
            for n in range(25)
        ],
    )
    code = "DAILY_QUOTA_EXCEEDED"
    warned = {
        n: found
        for n, a in enumerate(accepted)
        if (found := [(w.code, "inbox drafts" in w.message) for w in a.warnings if w.code == code])
    }
    assert warned == {**{n: [(code, True)] for n in (15, 18, 21, 24)}, 23: [(code, False)]}
    states = [send(core, core.context, queue(core, a)) for a in accepted]
    assert {n for n, state in enumerate(states) if state is State.SCHEDULED} == warned.keys()
    assert {state for n, state in enumerate(states) if n not in warned} == {State.PUBLISHED}


def test_an_edit_changes_what_a_post_and_its_new_accounts_count_towards(core: CoreFixture) -> None:
    core.account("one")
    core.account("two")
    core.decided("https://media.example/1.jpg", "image", facts=GOOD_IMAGE)
    media = {"type": "slideshow", "urls": ["https://media.example/1.jpg"]}
    due = core.now() + HOUR
    post = core.accept(core.request(media=media, account_ids=[core.accounts["one"]], scheduled_at=due))

    def count() -> list[tuple[int, int]]:
        """Return the planned posts and drafts of each account."""
        with core.context.database.begin() as c:
            return [
                (
                    count_planned(c, core.accounts[name], due, DailyQuota(9)),
                    count_planned(c, core.accounts[name], due, DailyQuota(9, drafts=True)),
                )
                for name in ("one", "two")
            ]

    def change(**fields: Any) -> None:
        given = frozenset(fields) - {"account_ids"} | ({"accounts"} if "account_ids" in fields else set())
        edit(core.context, core.caller, post.id, Change(given=given, **with_options(fields)))

    core.accept(core.request(caption="another", media=media, scheduled_at=due))
    assert count() == [(2, 0), (0, 0)]
    both = [core.accounts["one"], core.accounts["two"]]
    change(tiktok={"post_mode": "MEDIA_UPLOAD"}, account_ids=both)
    assert count() == [(1, 1), (0, 1)]
    change(tiktok=None)
    assert count() == [(2, 0), (1, 0)]
