"""Explanations: where a delivery stands, whose turn it is, what happens next, and the one action for a user.

``RULES`` of ``explanation_rules`` decides; here the rule of a delivery is found and its sentences are filled in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pipeline.domain import explanation_rules as rules
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import Reason, State, may_retry
from pipeline.domain.delivery_error import MEDIA_FAULTS, NOT_TRIED
from pipeline.domain.explanation_action import Action, Call, Turn
from pipeline.domain.explanation_rules import RULES, Detail, Rule
from pipeline.domain.hold import DerivedHold, Hold

_UNUSABLE: Mapping[str, Detail] = {
    AccountStatus.INACTIVE: rules.OUT_OF_USE,
    AccountStatus.RECONNECT: Reason.RECONNECT,
}
_SENT = frozenset({State.PROCESSING, State.UNKNOWN})


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """The known facts of a delivery."""

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
    error_code: str | None
    is_proven_live: bool
    """The platform has shown it live, whatever its state."""
    account_status: str
    can_authorize: bool
    """The server is set up to connect accounts of the platform."""
    may_be_edited: bool
    """True if an edit of its post is not refused for the post's state."""
    next_at: datetime | None
    moved_at: datetime
    """When it came into its state."""
    derived: Sequence[DerivedHold]
    """The derived holds on deliveries of its scopes now."""
    last_look: str
    """A sentence about its last look, if that failed."""
    can_be_looked_at: bool
    """True if a look can find its outcome."""
    media_seen: str | None
    """The finding of the checks that it waits for, at their last try."""
    url: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """An answer in words. ``turn`` None: it is over."""

    turn: Turn | None
    summary: str
    since: datetime
    next_step: str | None
    """A sentence about the next step."""
    next_at: datetime | None
    action: Action | None


def explain(found: Situation) -> Explanation:
    """Explain a delivery."""
    rule = RULES[found.state, find_detail(found)]
    holding = next((one for one in found.derived if one.hold is found.hold), None)
    words = _list_words(found, holding)
    return Explanation(
        turn=rule.turn,
        summary=rule.summary.format(**words),
        since=max(found.moved_at, holding.since) if holding and holding.since else found.moved_at,
        next_step=rule.next_step.format(**words) if rule.next_step else None,
        next_at=found.next_at or (holding.next_at if holding else None),
        action=_fill(_choose_action(rule, found, holding), words),
    )


def _choose_action(rule: Rule, found: Situation, holding: DerivedHold | None) -> Action | None:
    if rule.action is rules.RECONNECT and not found.can_authorize:
        return replace(rules.RECONNECT, call=None)
    is_own = rule.action is rules.LIFT and holding is not None and holding.scope == "delivery"
    return rules.LIFT_OWN if is_own else rule.action


def _fill(part: Any, words: Mapping[str, str]) -> Any:
    """Return an action, or a part of one, with the fields of its sentences filled in."""
    if isinstance(part, Action):
        return replace(part, command=_fill(part.command, words), call=_fill(part.call, words))
    if isinstance(part, Call):
        return replace(part, path=_fill(part.path, words), body=_fill(part.body, words))
    if isinstance(part, Mapping):
        return {name: _fill(value, words) for name, value in part.items()}
    if isinstance(part, list):
        return [_fill(value, words) for value in part]
    return part.format(**words) if isinstance(part, str) else part


def find_detail(found: Situation) -> Detail:
    """Return the detail that tells the rules of a state apart: reason, hold, finding of a check, or fault."""
    if found.state is State.ACCEPTED:
        checking = Hold.STORAGE if found.hold is Hold.STORAGE else Hold.CHECKING
        return rules.SEEN if found.media_seen else checking
    if found.state is State.BLOCKED:
        is_out = found.reason is Reason.RECONNECT and found.account_status == AccountStatus.INACTIVE
        return rules.OUT_OF_USE if is_out else found.reason
    if found.state is State.FAILED:
        return _find_failure(found)
    if found.state is State.RETRYING and found.hold is None:
        return found.fault or "us"
    if found.state in _SENT and found.last_look and found.hold is None:
        return rules.LOOK_FAILED if found.can_be_looked_at else rules.NO_LOOK
    return found.hold if (found.state, found.hold) in RULES else None


def _find_failure(found: Situation) -> Detail:
    """Return why a retry would fail again, or the fault of a delivery that can be retried as it is."""
    if not may_retry(found.state, is_proven_live=found.is_proven_live):
        return rules.SHOWN_LIVE
    if found.account_status in _UNUSABLE:
        return _UNUSABLE[found.account_status]
    if found.error_code in MEDIA_FAULTS:
        return rules.BAD_MEDIA
    if found.error_code in NOT_TRIED:
        return rules.UNSENT
    if found.fault == "customer" and not found.may_be_edited:
        return rules.OUT_ELSEWHERE
    return found.fault or "us"


def _list_words(found: Situation, holding: DerivedHold | None) -> dict[str, str]:
    scope = f"{holding.scope} {holding.target}".strip() if holding else ""
    return {
        "delivery": str(found.delivery),
        "post": str(found.post),
        "account": str(found.account),
        "name": f"{found.username} on {found.platform}",
        "platform": found.platform,
        "why": holding.why if holding else "",
        "scope": scope,
        "target": holding.target if holding else "",
        "look": found.last_look,
        "seen": found.media_seen or "",
        "url": found.url or "its address is not known yet",
    }
