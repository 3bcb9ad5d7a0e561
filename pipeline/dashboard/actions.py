"""What visitors can do to deliveries, and the role that each needs in their workspace. The one table of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.domain.role import Role
from pipeline.domain.steering import Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """An action on deliveries. ``verb``: that of the steering job which does it, None: an action on dead letters."""

    name: str
    label: str
    role: Role
    explains: str
    verb: Verb | None = None


def _steer(verb: Verb, label: str, role: Role, explains: str) -> Action:
    return Action(name=verb.value, label=label, role=role, explains=explains, verb=verb)


ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        _steer(Verb.CANCEL, "Cancel", Role.AUTHOR, "What was not sent is canceled."),
        _steer(Verb.RETRY, "Retry", Role.AUTHOR, "What failed, and is not live, is sent again at once."),
        _steer(
            Verb.RESCHEDULE, "Reschedule", Role.AUTHOR, "What was not sent gets another time, post by post."
        ),
        _steer(
            Verb.PAUSE,
            "Pause",
            Role.OPERATOR,
            "What was not sent is held until it is resumed. Due times stay.",
        ),
        _steer(Verb.RESUME, "Resume", Role.OPERATOR, "Deliveries that were paused by themselves go on."),
        Action(
            name="replay",
            label="Replay",
            role=Role.OPERATOR,
            explains="Dead letters are sent again, so many a minute on each platform. What may be live is left.",
        ),
        Action(
            name="discard",
            label="Discard",
            role=Role.OPERATOR,
            explains="Dead letters are given up: failed ones stay failed, blocked ones are canceled.",
        ),
    )
}
DECIDE = Role.OPERATOR
"""What a visitor needs to decide whether a delivery is live, and to resume a blocked one."""
