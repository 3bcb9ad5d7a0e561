"""Repeated requests: which are one, and that the answer says what the post is now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.cancel_delete_retry import cancel, delete
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import State
from pipeline.store.accounts.grants import deactivate
from pipeline.store.checks.checks import decide_check
from pipeline.store.database import new_id
from tests.pipeline.core_fixture import GOOD_VIDEO, CoreFixture
from tests.pipeline.store.ledger import HOUR, Post, together

UNSEEN = {"type": "video", "url": "https://media.example/not-checked-yet.mp4"}


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """Two accounts, and media with a fresh good check."""
    core.account("one")
    core.account("two", Platform.FACEBOOK)
    core.decided()
    return core


def change(core: CoreFixture, post: UUID, **values: Any) -> None:
    given = frozenset("accounts" if name == "account_ids" else name for name in values)
    edit(core.context, core.caller, post, Change(given=given, **values))


def put(core: CoreFixture, post: UUID, state: State) -> None:
    """Put all deliveries of the post into a state, as workers would."""
    core.ledger.put(
        Post(id=post, workspace=core.workspace, deliveries=[d.id for d in core.deliveries(post)]), state
    )


# --- external_id -----------------------------------------------------------------------------------------------------


def test_the_same_id_and_body_gives_the_original_whatever_has_passed_since(ready: CoreFixture) -> None:
    request = ready.request(external_id="order-1", scheduled_at=ready.now() + HOUR)
    first = ready.accept(request)
    with ready.context.database.begin() as c:
        deactivate(c, ready.accounts["one"])
        c.exec_driver_sql(
            """UPDATE posts SET due_at = now() - interval '1 day', created_at = now() - interval '2 days'
               WHERE id = %(i)s""",
            {"i": first.id},
        )
    again = ready.accept(replace(request, scheduled_at=ready.now() - HOUR))  # the client repeats its old body
    assert (again.id, again.duplicate, again.status) == (first.id, True, "pending")


def test_the_same_id_with_another_body_is_refused_before_anything_else(ready: CoreFixture) -> None:
    ready.accept(external_id="order-2")
    refusal = ready.refused(external_id="order-2", caption="other", account_ids=[new_id()])
    assert (refusal.status, refusal.code) == (409, "create_failed")
    assert "order-2" in refusal.message
    first = ready.request(external_id="order-2")
    assert ready.refused(replace(first, fingerprint=first.fingerprint[:-1] + b"?")).status == 409


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.PUBLISHING, "pending"),
        (State.RETRYING, "retry"),
        (State.PUBLISHED, "posted"),
        (State.FAILED, "failed"),
        (State.CANCELLED, "canceled"),
    ],
)
def test_a_repeat_answers_the_status_of_now(ready: CoreFixture, state: State, status: str) -> None:
    request = ready.request(external_id="order-3", scheduled_at=ready.now() + HOUR)
    first = ready.accept(request)
    assert first.status == "scheduled"
    put(ready, first.id, state)
    again = ready.accept(request)
    assert (again.id, again.duplicate, again.status, again.deleted) == (first.id, True, status, False)


def test_a_repeat_answers_the_time_of_now_and_a_deleted_post(ready: CoreFixture) -> None:
    request = ready.request(external_id="order-4", scheduled_at=ready.now() + HOUR)
    first = ready.accept(request)
    later = ready.now() + 2 * HOUR
    change(ready, first.id, scheduled_at=later, caption="changed")
    assert ready.accept(request).scheduled_at == later
    delete(ready.context, ready.caller, [first.id])
    again = ready.accept(request)
    assert (again.id, again.status, again.deleted, [*again.warnings]) == (first.id, "canceled", True, [])


def test_a_repeat_answers_the_warnings_of_now(ready: CoreFixture) -> None:
    request = ready.request(external_id="order-5", media=UNSEEN, scheduled_at=ready.now() + HOUR)
    first = ready.accept(request)
    assert "REACHABILITY_PENDING" in {w.code for w in first.warnings}
    assert [*ready.accept(request).warnings] == [*first.warnings]
    with ready.context.database.begin() as c:
        assert decide_check(c, ready.check_ids(UNSEEN["url"])[0], "good", facts=GOOD_VIDEO, seen="ok")
    assert [*ready.accept(request).warnings] == []
    ready.run(
        "UPDATE accounts SET expires_at = now(), renewable = false WHERE id = :id", id=ready.accounts["one"]
    )
    assert [w.code for w in ready.accept(request).warnings] == ["TOKEN_EXPIRES_BEFORE_DUE"]
    put(ready, first.id, State.PUBLISHED)
    assert [*ready.accept(request).warnings] == []


# --- equal bodies ----------------------------------------------------------------------------------------------------


def test_an_equal_body_is_the_same_post_within_the_window(ready: CoreFixture) -> None:
    first = ready.accept()
    again = ready.accept()
    assert (again.id, again.duplicate, again.status) == (first.id, True, "pending")
    assert again.scheduled_at == first.scheduled_at
    assert ready.accept(caption="another").id != first.id


CHANGES: dict[str, Callable[[CoreFixture, UUID], Any]] = {
    "edited": lambda core, post: change(core, post, caption="Y"),
    "moved": lambda core, post: change(core, post, scheduled_at=core.now() + 2 * HOUR),
    "given other accounts": lambda core, post: change(core, post, account_ids=[core.accounts["one"]]),
    "cancelled": lambda core, post: cancel(core.context, core.caller, [post]),
    "cancelled in part": lambda core, post: cancel(core.context, core.caller, [post], [core.accounts["two"]]),
    "deleted": lambda core, post: delete(core.context, core.caller, [post]),
    "failed": lambda core, post: put(core, post, State.FAILED),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_post_that_was_changed_since_is_no_longer_the_equal_body(ready: CoreFixture, name: str) -> None:
    """POST X, PATCH to Y, POST X again: X is published too."""
    request = ready.request(account_ids=[*ready.accounts.values()], scheduled_at=ready.now() + HOUR)
    first = ready.accept(request)
    CHANGES[name](ready, first.id)
    again = ready.accept(request)
    assert (again.id == first.id, again.duplicate) == (False, False)
    assert ready.accept(request).id == again.id, "from now on the new post is the one"


@pytest.mark.parametrize("state", [State.RETRYING, State.UNKNOWN, State.PUBLISHED])
def test_a_post_in_progress_or_posted_is_still_the_equal_body(ready: CoreFixture, state: State) -> None:
    first = ready.accept()
    put(ready, first.id, state)
    assert ready.accept().id == first.id


def test_the_window_can_be_turned_off(ready: CoreFixture) -> None:
    core = ready.with_settings(ingest={"dedupe_window": 0})
    assert core.accept().id != core.accept().id
    assert core.accept(external_id="a").id == core.accept(external_id="a").id, "an id still counts"


def test_equal_requests_at_once_make_one_post(ready: CoreFixture) -> None:
    for known in (None, "at-once"):
        request = ready.request(caption=str(known), external_id=known)
        before = len(ready.posts())
        answers = together(*[partial(ready.accept, request)] * 8)
        assert len({a.id for a in answers}) == 1
        assert sum(not a.duplicate for a in answers) == 1
        assert len(ready.posts()) == before + 1
