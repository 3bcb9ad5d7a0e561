"""Inbox drafts have a daily limit of their own: the sixth waits, and a post beside them does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from adapters.contract import Platform
from adapters.tiktok.limits import CAPABILITIES as TIKTOK
from adapters.tiktok.options import TikTokOptions
from pipeline.context import Context
from pipeline.domain.delivery import State
from pipeline.stages.publish import publish
from pipeline.store.database import row
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, with_script
from tests.pipeline.store.ledger import Post

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


def test_drafts_and_posts_do_not_count_towards_each_others_limit(core: CoreFixture) -> None:
    core.account("one")
    context = bind(core, daily_drafts=1, daily_posts=1)
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    [draft] = add_drafts(core, 1)
    assert send(core, context, post) is State.PUBLISHED
    assert send(core, context, draft) is State.PUBLISHED
    second = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, context, second) is State.SCHEDULED


def test_tiktok_allows_five_drafts_a_day() -> None:
    assert (TIKTOK.daily_drafts, TIKTOK.daily_posts) == (5, 15)
