"""The actions of visitors on deliveries: the table of them with the role each needs, and the buttons of a post."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.dashboard.words import Standing
from pipeline.domain import explanation_action
from pipeline.domain.account import Role
from pipeline.domain.delivery import LOOKED_AT, SETTLED, Reason, State, may_be_changed
from pipeline.domain.hold import DerivedHold, Hold
from pipeline.domain.steering import Verb
from pipeline.store.deliveries.queue import QueuedDelivery
from pipeline.store.posts.views import DeliveryView


@dataclass(frozen=True, slots=True)
class Action:
    """An action on deliveries. ``verb``: that of the steering job which does it."""

    verb: Verb
    label: str
    role: Role
    explains: str


def _has_failed(delivery: Standing, _: bool) -> bool:
    return delivery.state == State.FAILED


def _is_open(delivery: Standing, _: bool) -> bool:
    """Return True if it is not settled, and neither is nor may be live."""
    state = State(delivery.state)
    return state not in SETTLED and may_be_changed(state, armed=delivery.armed_at is not None)


def _can_be_paused(delivery: Standing, paused: bool) -> bool:
    return _is_open(delivery, paused) and delivery.state != State.PUBLISHING and not paused


def _is_paused(_: Standing, paused: bool) -> bool:
    return paused


def _waits_for_approval(delivery: Standing, _: bool) -> bool:
    return delivery.held_for is Hold.APPROVAL


def _is_dead(delivery: Standing, _: bool) -> bool:
    return delivery.state == State.FAILED or delivery.reason == Reason.PERSON_NEEDED


def _is_unresolved(delivery: Standing, _: bool) -> bool:
    blocked = delivery.state == State.BLOCKED
    return delivery.state == State.UNKNOWN or (
        blocked and (delivery.armed_at is not None or delivery.reason == Reason.IS_IT_LIVE)
    )


Fits = Callable[[Standing, bool], bool]
"""Returns True if a verb does something for a delivery; the second argument: a user paused it by itself."""
FITS: Mapping[Verb, Fits] = {
    Verb.RETRY: _has_failed,
    Verb.RESCHEDULE: _is_open,
    Verb.PAUSE: _can_be_paused,
    Verb.RESUME: _is_paused,
    Verb.APPROVE: _waits_for_approval,
    Verb.CANCEL: _is_open,
    Verb.REPLAY: _is_dead,
    Verb.DISCARD: _is_dead,
}


def list_verbs(found: Sequence[QueuedDelivery], role: Role) -> list[Verb]:
    """Return the verbs that do something to one of these deliveries, for a visitor with this role."""
    standing = [(one.facts, is_paused(one.derived)) for one in found]
    return [
        verb
        for verb, fits in FITS.items()
        if ACTIONS[verb].role <= role and any(fits(one, paused) for one, paused in standing)
    ]


ACTIONS: Mapping[str, Action] = {
    action.verb: action
    for action in (
        Action(Verb.RESCHEDULE, "Move", Role.AUTHOR, "What is not sent yet gets another time, post by post."),
        Action(Verb.RETRY, "Try again", Role.AUTHOR, "What failed is sent again at once, unless it is live."),
        Action(
            Verb.PAUSE,
            "Pause",
            Role.OPERATOR,
            "What is not sent yet is held until it is resumed. Due times stay.",
        ),
        Action(Verb.RESUME, "Resume", Role.OPERATOR, "What was paused by itself goes on."),
        Action(Verb.APPROVE, "Approve", Role.AUTHOR, "What others wrote is let out, as it is, at its time."),
        Action(Verb.CANCEL, "Cancel", Role.AUTHOR, "What is not sent yet is canceled."),
        Action(
            Verb.REPLAY,
            "Try again bit by bit",
            Role.OPERATOR,
            "What failed is sent again, so many a minute on each platform, unless it may be live.",
        ),
        Action(
            Verb.DISCARD,
            "Leave out",
            Role.OPERATOR,
            "What failed is given up: it stays failed, and what waits for somebody is canceled.",
        ),
    )
}
AT_ONCE = frozenset({Verb.RESCHEDULE, Verb.RETRY, Verb.PAUSE, Verb.RESUME, Verb.CANCEL})
"""Verbs that are done to selected posts without a question before: they can be undone, or send only what failed."""


OF_JOBS = {**ACTIONS, Verb.UNDO: Action(Verb.UNDO, "Undo", Role.AUTHOR, "What a job did is undone.")}
"""The actions of jobs; an undo is of a job, not of a selection."""
DECIDE = Role.OPERATOR
"""The role that a visitor needs to decide whether a delivery is live, and to resume a blocked one."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button. ``confirm``: the sentence that a user has to agree with before."""

    verb: str
    label: str
    role: Role
    fits: Fits
    confirm: str = ""


def _offer(verb: Verb, name: str, confirm: str = "") -> Button:
    """Return the button *name* that does to one delivery what an action does to many."""
    return Button(name, ACTIONS[verb].label, ACTIONS[verb].role, FITS[verb], confirm)


NOT_THERE = (
    "I looked at the account on the platform, and the post is not there. If it is, it will be there twice."
)
BUTTONS = (
    Button("look", "Look now", DECIDE, lambda d, _: d.state in LOOKED_AT and d.next_at is not None),
    Button("live", "It is live", DECIDE, _is_unresolved),
    Button("again", "It is not live: publish it again", DECIDE, _is_unresolved, NOT_THERE),
    Button(
        "resume", "Let it go on", DECIDE, lambda d, p: d.state == State.BLOCKED and not _is_unresolved(d, p)
    ),
    _offer(Verb.RETRY, "retry"),
    _offer(Verb.RESUME, "unpause"),
    _offer(Verb.PAUSE, "pause"),
    _offer(Verb.CANCEL, "cancel", "The post is not published at this account."),
)
BY_VERB: Mapping[str, Button] = {button.verb: button for button in BUTTONS}


def list_buttons(delivery: DeliveryView, *, is_paused: bool, role: Role) -> list[Button]:
    """Return the buttons of a delivery for a visitor with this role in its workspace."""
    return [b for b in BUTTONS if b.role <= role and b.fits(delivery, is_paused)]


def find_next(action: explanation_action.Action | None, verbs: Collection[str]) -> str | None:
    """Return the verb that has a button, or the page, that is the explanation's next action."""
    if action is None:
        return None
    return next((step for step in action.steps if step in verbs or step.startswith("/")), None)


def is_paused(derived: Iterable[DerivedHold]) -> bool:
    """Return True if one of these holds is a pause of the delivery itself, not of its account, platform or client."""
    return any(one.hold is Hold.PAUSED and one.scope == "delivery" for one in derived)
