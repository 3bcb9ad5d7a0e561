"""The actions of visitors on deliveries, and the role that each needs in their workspace. The one table of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.domain.account import Role
from pipeline.domain.steering import Verb


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
        Action(Verb.CANCEL, "Cancel", Role.AUTHOR, "What was not sent is canceled."),
        Action(Verb.RETRY, "Retry", Role.AUTHOR, "What failed, and is not live, is sent again at once."),
        Action(
            Verb.RESCHEDULE, "Reschedule", Role.AUTHOR, "What was not sent gets another time, post by post."
        ),
        Action(
            Verb.PAUSE,
            "Pause",
            Role.OPERATOR,
            "What was not sent is held until it is resumed. Due times stay.",
        ),
        Action(Verb.RESUME, "Resume", Role.OPERATOR, "Deliveries that were paused by themselves go on."),
        Action(
            Verb.REPLAY,
            "Replay",
            Role.OPERATOR,
            "Dead letters are sent again, so many a minute on each platform. What may be live is left.",
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
