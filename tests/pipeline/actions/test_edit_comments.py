"""Edit the first comment of a post that is live on one of its accounts: the old one is not said there any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import State
from pipeline.maintenance.finish_published import follow_up
from pipeline.store.database import rows
from pipeline.store.deliveries.published import record_follow_ups
from pipeline.store.posts.views import CommentView, read_post
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import HOUR, Post, together

OLD, NEW = "Links below", "Links above"
UNSENT = [State.SCHEDULED, State.QUEUED, State.PUBLISHING, State.RETRYING, State.BLOCKED]


@pytest.fixture(autouse=True)
def only_its_own(core: CoreFixture) -> Iterator[None]:
    """Leave nothing that a later run of follow-ups would do."""
    yield
    core.run("DELETE FROM follow_ups WHERE done_at IS NULL")


def half_live(core: CoreFixture) -> Post:
    """Add a post with a first comment, live on its first account and due in an hour on its second."""
    accounts = [core.account(name, Platform.FACEBOOK) for name in ("live", "waiting")]
    post = core.ledger.post(accounts, due=HOUR, checks={0: core.decided()})
    core.run("UPDATE posts SET first_comment = :text WHERE id = :id", text=OLD, id=post.id)
    core.ledger.change(post.deliveries[0], "state = 'published', remote_id = id::text, published_at = now()")
    with core.context.database.begin() as c:
        record_follow_ups(c, post.deliveries[0], {"comment": {"text": OLD}})
    return post


def change(core: CoreFixture, post: Post, text: str | None, **caller: Any) -> None:
    said = Change(given=frozenset({"first_comment"}), first_comment=text)
    edit(core.context, replace(core.caller, **caller), post.id, said)


def comments(core: CoreFixture, post: Post) -> list[tuple[str, str]]:
    """Return text and state of the comments that have a delivery."""
    with core.context.database.begin() as c:
        sql = "SELECT own ->> 'caption' AS says, state FROM deliveries WHERE post_id = :id AND is_comment"
        return [(r.says, r.state) for r in rows(c, sql, id=post.id)]


def commented(core: CoreFixture, state: State) -> tuple[Post, UUID]:
    """Add such a post whose comment has a delivery in this state."""
    post = half_live(core)
    assert follow_up(core.context) == 1
    with core.context.database.begin() as c:
        [found] = rows(c, "SELECT id FROM deliveries WHERE post_id = :id AND is_comment", id=post.id)
    core.ledger.put(replace(post, deliveries=[found.id]), state)
    return post, found.id


def view(core: CoreFixture, post: Post) -> CommentView | None:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    return next(d.first_comment for d in found.deliveries if d.id == post.deliveries[0])


def test_a_comment_that_is_taken_off_before_its_turn_is_not_sent(core: CoreFixture) -> None:
    post = half_live(core)
    change(core, post, None)
    assert (follow_up(core.context), comments(core, post), view(core, post)) == (0, [], None)


def test_a_comment_that_is_changed_before_its_turn_is_sent_as_it_is_by_then(core: CoreFixture) -> None:
    post = half_live(core)
    change(core, post, NEW)
    assert (follow_up(core.context), comments(core, post)) == (1, [(NEW, "scheduled")])


@pytest.mark.parametrize("state", UNSENT)
def test_the_delivery_of_a_comment_that_is_changed_starts_again(core: CoreFixture, state: State) -> None:
    post, comment = commented(core, state)
    before = core.ledger.delivery(comment).generation
    change(core, post, NEW)
    assert comments(core, post) == [(NEW, "scheduled")]
    assert core.ledger.delivery(comment).generation > before, "a worker that has the old text loses it"
    assert (shown := view(core, post)) is not None
    assert (shown.text, shown.state) == (NEW, "scheduled")


@pytest.mark.parametrize("state", UNSENT)
def test_the_delivery_of_a_comment_that_is_taken_off_ends(core: CoreFixture, state: State) -> None:
    post, _ = commented(core, state)
    change(core, post, None)
    assert comments(core, post) == [(OLD, "cancelled")]
    assert follow_up(core.context) == 0


def test_what_an_edit_took_off_another_brings_back(core: CoreFixture) -> None:
    due, (added, _) = half_live(core), commented_after(core)
    for post in (due, added):
        change(core, post, None)
        change(core, post, NEW)
    assert comments(core, added) == [(NEW, "scheduled")]
    assert (follow_up(core.context), comments(core, due)) == (1, [(NEW, "scheduled")])


def commented_after(core: CoreFixture) -> tuple[Post, UUID]:
    """Add the delivery of one comment, and leave those of other posts to come."""
    core.run("UPDATE follow_ups SET next_at = now() + interval '1 day' WHERE done_at IS NULL")
    return commented(core, State.SCHEDULED)


@pytest.mark.parametrize("state", [State.PUBLISHED, State.UNKNOWN, State.FAILED])
@pytest.mark.parametrize("text", [NEW, None])
def test_a_comment_that_was_sent_stays_as_it_is(core: CoreFixture, state: State, text: str | None) -> None:
    post, comment = commented(core, state)
    before = core.ledger.delivery(comment)
    change(core, post, text)
    assert comments(core, post) == [(OLD, state.value)]
    assert core.ledger.delivery(comment)._replace(now=before.now) == before
    assert follow_up(core.context) == 0


def test_an_edit_of_other_things_leaves_the_comment_alone(core: CoreFixture) -> None:
    post, comment = commented(core, State.QUEUED)
    before = core.ledger.delivery(comment)
    edit(core.context, core.caller, post.id, Change(given=frozenset({"caption"}), caption="Other words"))
    assert core.ledger.delivery(comment)._replace(now=before.now) == before


def test_a_comment_that_nobody_approved_is_not_sent(core: CoreFixture) -> None:
    due, (added, _) = half_live(core), commented_after(core)
    for post in (due, added):
        change(core, post, NEW, approves_all=True)
    assert comments(core, added) == [(OLD, "cancelled")]
    core.run("UPDATE follow_ups SET next_at = now()")
    assert (follow_up(core.context), comments(core, due)) == (0, [])


@pytest.mark.parametrize("text", [NEW, None])
def test_an_edit_and_the_turn_of_the_comment_at_once(core: CoreFixture, text: str | None) -> None:
    for _ in range(10):
        post = half_live(core)
        together(partial(change, core, post, text), partial(follow_up, core.context))
        follow_up(core.context)
        found = comments(core, post)
        assert found in ([(NEW, "scheduled")] if text else [], [(OLD, "cancelled")][: text is None])
