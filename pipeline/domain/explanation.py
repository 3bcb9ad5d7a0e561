"""Explanations: where a delivery stands, whose turn it is, what happens next, and the one action for a person.

``RULES`` of ``explanation_rules`` decides; here the rule of a delivery is found and its sentences are filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pipeline.domain.delivery import Reason, State
from pipeline.domain.explanation_rules import AHEAD, LOOK_FAILED, NO_LOOK, RULES, SEEN, Detail, Turn
from pipeline.domain.hold import Hold, StandingHold

_SENT = frozenset({State.PROCESSING, State.UNKNOWN})


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What is known of a delivery."""

    delivery: UUID
    post: UUID
    account: UUID
    platform: str
    username: str
    state: State
    reason: Reason | None
    hold: Hold | None
    fault: str | None
    """Whose fault its last error was: customer, platform or us."""
    error_link: str | None
    """Where the reference explains its last error."""
    next_at: datetime | None
    moved_at: datetime
    """When it came into its state."""
    standing: Sequence[StandingHold]
    """What holds deliveries of its scopes now."""
    last_look: str
    """A sentence about its last look, if that failed."""
    can_be_looked_at: bool
    """A look can show what became of it."""
    media_seen: str | None
    """What the checks that it waits for saw at their last try."""
    url: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """What a person can do: a command, and a page relative to the server."""

    command: str
    link: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """An answer in words. ``turn`` None: it is over."""

    turn: Turn | None
    summary: str
    since: datetime
    next_step: str | None
    """What happens next."""
    next_at: datetime | None
    action: Action | None


def explain(found: Situation) -> Explanation:
    """Explain a delivery."""
    rule = RULES[found.state, find_detail(found)]
    holding = _find_holding(found)
    words = _list_words(found, holding)
    return Explanation(
        turn=rule.turn,
        summary=rule.summary.format(**words),
        since=max(found.moved_at, holding.since) if holding and holding.since else found.moved_at,
        next_step=rule.next_step.format(**words) if rule.next_step else None,
        next_at=found.next_at or (holding.next_at if holding else None),
        action=Action(command=rule.command.format(**words), link=rule.link.format(**words))
        if rule.command
        else None,
    )


def find_detail(found: Situation) -> Detail:
    """Return what tells the rules of a state apart: reason, hold, what was seen, or fault."""
    if found.state is State.ACCEPTED:
        return SEEN if found.media_seen else Hold.CHECKING
    if found.state is State.BLOCKED:
        return found.reason
    if found.state is State.SCHEDULED and found.hold is None and _find_holding(found):
        return AHEAD
    if found.state is State.FAILED or (found.state is State.RETRYING and found.hold is None):
        return found.fault or "us"
    if found.state in _SENT and found.last_look and found.hold is None:
        return LOOK_FAILED if found.can_be_looked_at else NO_LOOK
    return found.hold if (found.state, found.hold) in RULES else None


def _find_holding(found: Situation) -> StandingHold | None:
    """Return what holds it now, or the pause that will hold it when its time comes."""
    hold = Hold.PAUSED if found.hold is None and found.state is State.SCHEDULED else found.hold
    return next((one for one in found.standing if one.hold is hold), None)


def _list_words(found: Situation, holding: StandingHold | None) -> dict[str, str]:
    scope = f"{holding.scope} {holding.target}".strip() if holding else ""
    return {
        "delivery": str(found.delivery),
        "post": str(found.post),
        "account": str(found.account),
        "name": f"{found.username} on {found.platform}",
        "platform": found.platform,
        "why": holding.why if holding else "",
        "scope": scope,
        "look": found.last_look,
        "seen": found.media_seen or "",
        "url": found.url or "its address is not known yet",
        "error": found.error_link or "/reference#explainPost",
    }
