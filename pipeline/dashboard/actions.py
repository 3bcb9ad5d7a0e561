"""The actions of visitors on deliveries: the table of them with the role each needs, and the buttons of a post."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pipeline.actions.explain import ExplainedDelivery
from pipeline.domain import explanation_rules
from pipeline.domain.account import Role
from pipeline.domain.delivery import SETTLED, Reason, State, may_be_changed
from pipeline.domain.hold import Hold
from pipeline.domain.steering import Verb
from pipeline.store.posts.views import DeliveryView


@dataclass(frozen=True, slots=True)
class Action:
    """An action on deliveries. ``verb``: that of the steering job which does it."""

    verb: Verb
    label: str
    role: Role
    explains: str


ACTIONS: Mapping[str, Action] = {
    action.verb: action
    for action in (
        Action(Verb.CANCEL, "Cancel", Role.AUTHOR, "Unsent deliveries are canceled."),
        Action(Verb.RETRY, "Retry", Role.AUTHOR, "Failed deliveries are sent again at once, unless live."),
        Action(
            Verb.RESCHEDULE, "Reschedule", Role.AUTHOR, "Unsent deliveries get another time, post by post."
        ),
        Action(
            Verb.PAUSE,
            "Pause",
            Role.OPERATOR,
            "Unsent deliveries are held until they are resumed. Due times stay.",
        ),
        Action(Verb.RESUME, "Resume", Role.OPERATOR, "Deliveries that were paused by themselves go on."),
        Action(
            Verb.REPLAY,
            "Replay",
            Role.OPERATOR,
            "Dead letters are sent again, so many a minute on each platform, unless they may be live.",
        ),
        Action(
            Verb.DISCARD,
            "Discard",
            Role.OPERATOR,
            "Dead letters are given up: failed ones stay failed, blocked ones are canceled.",
        ),
    )
}
DECIDE = Role.OPERATOR
"""The role that a visitor needs to decide whether a delivery is live, and to resume a blocked one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button. ``confirm``: the sentence that a user has to agree with before."""

    verb: str
    label: str
    role: Role
    fits: Callable[[DeliveryView, bool], bool]
    """Returns True if it does something for a delivery in its state; the second argument says whether it is paused."""
    confirm: str = ""


def _is_open(delivery: DeliveryView) -> bool:
    """Return True if it is not settled, and neither is nor may be live."""
    state = State(delivery.state)
    return state not in SETTLED and may_be_changed(state, armed=delivery.armed_at is not None)


def _is_unresolved(delivery: DeliveryView) -> bool:
    blocked = delivery.state == State.BLOCKED
    return delivery.state == State.UNKNOWN or (
        blocked and (delivery.armed_at is not None or delivery.reason == Reason.IS_IT_LIVE)
    )


BUTTONS = (
    Button(
        verb="live",
        label="It is live",
        role=DECIDE,
        fits=lambda d, _: _is_unresolved(d),
    ),
    Button(
        verb="again",
        label="It is not live: publish it again",
        role=DECIDE,
        fits=lambda d, _: _is_unresolved(d),
        confirm="I looked at the account on the platform, and the post is not there. If it is, it will be there twice.",
    ),
    Button(
        verb="resume",
        label="Resume",
        role=DECIDE,
        fits=lambda d, _: d.state == State.BLOCKED and not _is_unresolved(d),
    ),
    Button(
        verb="retry",
        label="Retry",
        role=ACTIONS["retry"].role,
        fits=lambda d, _: d.state == State.FAILED,
    ),
    Button(
        verb="unpause",
        label="End its pause",
        role=ACTIONS["resume"].role,
        fits=lambda _, paused: paused,
    ),
    Button(
        verb="pause",
        label="Pause",
        role=ACTIONS["pause"].role,
        fits=lambda d, paused: _is_open(d) and d.state != State.PUBLISHING and not paused,
    ),
    Button(
        verb="cancel",
        label="Cancel",
        role=ACTIONS["cancel"].role,
        fits=lambda d, _: _is_open(d),
        confirm="The post is not published at this account.",
    ),
)
BY_VERB: Mapping[str, Button] = {button.verb: button for button in BUTTONS}


def list_buttons(delivery: DeliveryView, *, is_paused: bool, role: Role) -> list[Button]:
    """Return the buttons of a delivery for a visitor with this role in its workspace."""
    return [b for b in BUTTONS if b.role <= role and b.fits(delivery, is_paused)]


def find_next(action: explanation_rules.Action | None, verbs: Collection[str]) -> str | None:
    """Return the verb that has a button, or the page, that is the explanation's next action."""
    if action is None:
        return None
    return next((step for step in action.steps if step in verbs or step.startswith("/")), None)


def is_paused(explained: ExplainedDelivery) -> bool:
    """Return True if a user paused this delivery, and not only its account, platform or workspace."""
    derived = explained.evidence.derived
    return any(one.hold is Hold.PAUSED and one.scope == "delivery" for one in derived)
