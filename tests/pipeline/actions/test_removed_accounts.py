"""Accounts that an edit took off a post: shown, but no part of its status."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from pipeline.actions.cancel_delete_retry import cancel
from pipeline.api.posts.response_models import Post as PostResponse
from pipeline.domain.delivery import State
from pipeline.store.posts.pages import list_posts
from tests.pipeline.actions.test_cancel_delete_retry import part
from tests.pipeline.actions.test_edit import change, stored, view
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Post


def accounts(core: CoreFixture, post: Post) -> list[UUID]:
    return [core.ledger.delivery(d).account_id for d in post.deliveries]


def read(core: CoreFixture, post: Post) -> tuple[str, list[tuple[str, bool]]]:
    """Return the status as readers see it, after asserting that the stored one and the list agree, and the states."""
    seen = PostResponse.from_view(view(core, post.id))
    with core.context.database.begin() as c:
        assert post.id in [p.id for p in list_posts(c, core.workspace, status=seen.status)]
    states = {s.account_id: (s.status.value, s.removed) for s in seen.accounts.states}
    return seen.status.value, [states[a] for a in accounts(core, post)]


@pytest.mark.parametrize(
    ("there", "here", "status"),
    [
        (State.PUBLISHED, State.SCHEDULED, "posted"),
        (State.SCHEDULED, State.FAILED, "scheduled"),
        (State.SCHEDULED, State.SCHEDULED, "scheduled"),
        (State.FAILED, State.FAILED, "failed"),
        (State.RETRYING, State.BLOCKED, "retry"),
    ],
)
def test_a_removed_account_is_shown_and_does_not_count(
    core: CoreFixture, there: State, here: State, status: str
) -> None:
    post = stored(core, accounts=2)
    core.ledger.put(part(post, 0), there)
    core.ledger.put(part(post, 1), here)
    change(core, post.id, account_ids=accounts(core, post)[:1])
    found, states = read(core, post)
    assert (found, states[1]) == (status, ("canceled", True))
    if there is State.SCHEDULED:
        core.ledger.put(part(post, 0), State.PUBLISHED)
        assert read(core, post)[0] == "posted"


def test_a_cancelled_account_still_counts(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    core.ledger.put(part(post, 0), State.PUBLISHED)
    cancel(core.context, core.caller, [post.id], accounts(core, post)[1:])
    assert read(core, post) == ("partial", [("posted", False), ("canceled", False)])


def test_an_account_that_is_added_again_counts_again(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    change(core, post.id, account_ids=accounts(core, post)[:1])
    change(core, post.id, account_ids=accounts(core, post))
    assert read(core, post) == ("scheduled", [("scheduled", False)] * 2)
    core.ledger.put(part(post, 0), State.PUBLISHED)
    cancel(core.context, core.caller, [post.id], accounts(core, post)[1:])
    assert read(core, post)[0] == "partial"


def test_an_older_server_that_adds_it_again_and_cancels_it_is_understood(core: CoreFixture) -> None:
    """It raises the generation and leaves the column that it does not know."""
    post = stored(core, accounts=2)
    change(core, post.id, account_ids=accounts(core, post)[:1])
    core.ledger.change(post.deliveries[1], "state = 'scheduled', generation = generation + 1")
    core.ledger.change(post.deliveries[1], "state = 'cancelled', generation = generation + 1")
    core.ledger.put(part(post, 0), State.PUBLISHED)
    assert read(core, post) == ("partial", [("posted", False), ("canceled", False)])


# --- the URL of a published post -------------------------------------------------------------------------------------

LIVE = "delivered_as = 'post', url = NULL, published_at = now()"


@pytest.mark.parametrize(
    ("assignments", "pending"),
    [
        (LIVE, True),
        (f"{LIVE} - interval '23 hours'", True),
        (f"{LIVE} - interval '25 hours'", False),
        ("delivered_as = 'inbox_draft', url = NULL", False),
        ("delivered_as = NULL, url = NULL, published_at = now()", False),
        ("delivered_as = 'post', url = 'https://x.y/p'", False),
    ],
)
def test_a_live_post_without_its_url_says_that_it_is_looked_up(
    core: CoreFixture, assignments: str, pending: bool
) -> None:
    post = stored(core)
    core.ledger.put(post, State.PUBLISHED)
    core.ledger.change(post.deliveries[0], assignments)
    [state] = PostResponse.from_view(view(core, post.id)).accounts.states
    shown: dict[str, Any] = state.model_dump(mode="json")
    assert (state.status.value, shown.get("published_url_pending", False)) == ("posted", pending)
    assert (state.published_url is None) is (assignments != "delivered_as = 'post', url = 'https://x.y/p'")
