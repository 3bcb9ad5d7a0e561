"""Which buttons a delivery has, for whom, and which of them is the next action of its explanation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from starlette.routing import Route

from pipeline.dashboard.actions import BY_VERB, find_next, list_buttons, list_verbs
from pipeline.dashboard.app import create_dashboard
from pipeline.domain.account import Role
from pipeline.domain.delivery import LOOKED_AT, Reason, State
from pipeline.domain.explanation_action import Action
from pipeline.domain.explanation_rules import LIFT_OWN, RULES
from pipeline.store.deliveries.pauses import pause
from pipeline.store.deliveries.queue_posts import read_queued_posts
from pipeline.store.posts.views import DeliveryView
from tests.pipeline.store.ledger import HOUR, Ledger

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ARMED = frozenset({State.PROCESSING, State.UNKNOWN})


def view(state: State, *, armed: bool | None = None, reason: Reason | None = None) -> DeliveryView:
    facts: dict[str, Any] = dict.fromkeys(DeliveryView.__dataclass_fields__)
    is_armed = state in ARMED if armed is None else armed
    return DeliveryView(
        **{
            **facts,
            "id": UUID(int=1),
            "state": state,
            "reason": reason,
            "armed_at": NOW if is_armed else None,
            "removed": False,
        }
    )


def verbs(delivery: DeliveryView, role: Role = Role.OPERATOR, *, is_paused: bool = False) -> set[str]:
    return {button.verb for button in list_buttons(delivery, is_paused=is_paused, role=role)}


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        (view(State.ACCEPTED), {"pause", "cancel"}),
        (view(State.SCHEDULED), {"pause", "cancel"}),
        (view(State.QUEUED), {"pause", "cancel"}),
        (view(State.RETRYING), {"pause", "cancel"}),
        (view(State.PREPARING), {"pause", "cancel"}),
        (view(State.PUBLISHING), {"cancel"}),
        (view(State.PUBLISHING, armed=True), set()),
        (view(State.PROCESSING), set()),
        (view(State.UNKNOWN), {"live", "again"}),
        (view(State.BLOCKED, reason=Reason.IS_IT_LIVE, armed=True), {"live", "again"}),
        (view(State.BLOCKED, reason=Reason.PERSON_NEEDED), {"resume", "pause", "cancel"}),
        (view(State.BLOCKED, reason=Reason.PERSON_NEEDED, armed=True), {"live", "again"}),
        (view(State.BLOCKED, reason=Reason.RECONNECT), {"resume", "pause", "cancel"}),
        (view(State.FAILED), {"retry"}),
        (view(State.PUBLISHED), set()),
        (view(State.CANCELLED), set()),
    ],
)
def test_an_operator_has_the_buttons_that_do_something(delivery: DeliveryView, expected: set[str]) -> None:
    assert verbs(delivery) == expected


@pytest.mark.parametrize("state", list(State))
def test_what_waits_for_its_next_look_is_looked_at_now(state: State) -> None:
    waits = replace(view(state), next_at=NOW)
    assert ("look" in verbs(waits)) == (state in LOOKED_AT)
    assert "look" not in verbs(waits, Role.AUTHOR)


def test_the_queue_offers_the_verbs_that_the_page_of_a_post_has(ledger: Ledger) -> None:
    post = ledger.fresh(due=HOUR, accounts=2)

    def list_all(role: Role = Role.OPERATOR) -> set[str]:
        with ledger.database.begin() as c:
            [found] = read_queued_posts(c, [post.id], None)
        return {str(verb) for verb in list_verbs(found.deliveries, role)}

    assert list_all() == {"reschedule", "pause", "cancel"}
    assert list_all(Role.VIEWER) == set()
    with ledger.database.begin() as c:
        pause(c, "workspace", str(post.workspace), "test")
    assert list_all() == {"reschedule", "pause", "cancel"}, (
        "only the pauses of posts end with the verb of posts"
    )
    ledger.change(post.deliveries[0], "state = 'failed'")
    assert list_all(Role.AUTHOR) == {"retry", "reschedule", "cancel"}
    ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
    assert list_all() == {"reschedule", "pause", "cancel"}


def test_a_paused_delivery_can_go_on_and_not_be_paused_again() -> None:
    assert verbs(view(State.SCHEDULED), is_paused=True) == {"unpause", "cancel"}


def test_an_author_cancels_and_retries_and_a_viewer_only_looks() -> None:
    for state in State:
        reason = Reason.PERSON_NEEDED if state is State.BLOCKED else None
        assert verbs(view(state, reason=reason), Role.AUTHOR) <= {"cancel", "retry"}
        assert verbs(view(state, reason=reason), Role.VIEWER) == set()


ACTIONS = (*(rule.action for rule in RULES.values() if rule.action), LIFT_OWN)


def test_every_step_of_an_action_is_a_button_or_a_page() -> None:
    steps = {step for action in ACTIONS for step in action.steps}
    assert {step for step in steps if not step.startswith("/")} <= BY_VERB.keys()
    paths = {f"/dashboard{route.path}" for route in create_dashboard().routes if isinstance(route, Route)}
    assert {step for step in steps if step.startswith("/")} <= paths


def test_the_next_action_is_a_button_else_a_page() -> None:
    def of(steps: tuple[str, ...], *there: str) -> str | None:
        return find_next(Action(says="Do it.", command="slipway", steps=steps), there)

    assert of(("retry",), "retry") == "retry"
    assert of(("unpause", "/dashboard/pauses"), "unpause") == "unpause"
    assert of(("unpause", "/dashboard/pauses"), "pause") == "/dashboard/pauses"
    assert of(("retry",)) is None
    assert find_next(None, ["retry"]) is None
