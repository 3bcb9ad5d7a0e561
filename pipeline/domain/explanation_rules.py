"""The table of explanations: for each state, and what tells its deliveries apart, whose turn it is and what follows.

Sentences have the fields of ``explanation.explain``. A rule without a command asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold


class Turn(StrEnum):
    """Whose turn it is."""

    PLATFORM = "platform"
    CUSTOMER = "customer"
    OPERATOR = "operator"
    US = "us"


Detail = Reason | Hold | str | None
"""A reason, a hold, a fault, ``SEEN``, or None."""
AHEAD = "ahead"
"""The detail of a delivery that is not due yet and paused already."""
LOOK_FAILED = "look_failed"
"""The detail of a sent delivery whose last look failed."""
NO_LOOK = "no_look"
"""The detail of a sent delivery that no look can show."""
SEEN = "seen"
"""The detail of media whose check has met a problem, which it tries again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """An explanation with fields to be filled in. ``link``: a page, relative to the server."""

    turn: Turn | None
    summary: str
    next_step: str = ""
    command: str = ""
    link: str = "/reference#explainPost"


_RETRY = "slipway post retry {post} --account {account}"
_RETRY_LINK = "/reference#retryPosts"
_ERROR = "{error}"
"""The reference's entry of the last error."""
_DECIDE = "slipway delivery decide {delivery} --live URL"
_ATTENTION = "/api/operator/v1/attention"
_LETTER = "/api/operator/v1/dead-letters/{delivery}"

_HELD: Mapping[Hold, Rule] = {
    Hold.PREPARED_EARLY: Rule(
        turn=Turn.US,
        summary="Prepared ahead of its time.",
        next_step="The one visible call is made when it is due.",
    ),
    Hold.RATE: Rule(
        turn=Turn.PLATFORM,
        summary="{name} may take no further call yet: the platform's limit of calls, or the store that counts them "
        "does not answer.",
        next_step="It goes on when the limit has room.",
    ),
    Hold.MIN_GAP: Rule(
        turn=Turn.PLATFORM,
        summary="Another post went out at {name} just now, and the platform wants time between two of them.",
        next_step="It is sent when that time is over.",
    ),
    Hold.DAILY_QUOTA: Rule(
        turn=Turn.PLATFORM,
        summary="The platform's limit of posts in 24 hours is used up.",
        next_step="It is sent when the oldest of these posts is a day old.",
    ),
    Hold.SLOW_MEDIA: Rule(
        turn=Turn.CUSTOMER,
        summary="Too many media files of the workspace are read too slowly from their hosts.",
        next_step="It goes on when one of them is done.",
        command="slipway post show {post}",
        link="/reference#createFile",
    ),
    Hold.CONVERTING: Rule(
        turn=Turn.US,
        summary="Its images have to be made to fit the platform, and the memory for that is in use.",
        next_step="It goes on when other images are done.",
    ),
    Hold.SHUTDOWN: Rule(
        turn=Turn.US, summary="Its worker had to end; nothing was sent.", next_step="Another worker takes it."
    ),
    Hold.PAUSED: Rule(
        turn=Turn.OPERATOR,
        summary="A pause holds it ({scope}): {why}",
        next_step="It is released when the pause is lifted.",
        command="slipway pause lift {scope}",
        link=_ATTENTION,
    ),
    Hold.EPOCH: Rule(
        turn=Turn.OPERATOR,
        summary="Nothing may be sent: the database and the file beside it do not confirm each other ({why}).",
        next_step="It is released when they do, or when a restore is accepted.",
        command="slipway restore status",
        link=_ATTENTION,
    ),
    Hold.BREAKER: Rule(
        turn=Turn.PLATFORM,
        summary="{platform} does not answer: {why}.",
        next_step="One delivery probes the platform; its answer releases the others.",
        command="slipway pause list",
        link=_ATTENTION,
    ),
    Hold.BACKLOG: Rule(
        turn=Turn.US,
        summary="It is due, and waits for its turn or for a worker.",
        next_step="A worker sends it.",
        command="slipway attention",
        link=_ATTENTION,
    ),
}
"""Deliveries that could go on, by what holds them."""

_FAILED: Mapping[str, Rule] = {
    "customer": Rule(
        turn=Turn.CUSTOMER,
        summary="Failed: it was refused, and another try without a change would be refused again.",
        command=_RETRY,
        link=_ERROR,
    ),
    "platform": Rule(
        turn=Turn.CUSTOMER,
        summary="Failed: the platform or a media host had its tries, and none came through.",
        command=_RETRY,
        link=_RETRY_LINK,
    ),
    "us": Rule(
        turn=Turn.OPERATOR,
        summary="Failed by a fault of this installation.",
        command="slipway dead-letter show {delivery}",
        link=_LETTER,
    ),
}
_RETRYING = {
    fault: Rule(turn=turn, summary=f"Not sent: {why}.", next_step="It is tried again.")
    for fault, turn, why in (
        ("customer", Turn.US, "the last try was refused"),
        ("platform", Turn.PLATFORM, "the platform or a media host did not take the last try"),
        ("us", Turn.US, "the last try met a fault of this installation, or a person sent it again"),
    )
}
_BLOCKED: Mapping[Reason, Rule] = {
    Reason.RECONNECT: Rule(
        turn=Turn.CUSTOMER,
        summary="{name} has to be connected again.",
        next_step="It goes on when the account is connected.",
        command="slipway account reconnect {account} < tokens.json",
        link="/reference#connectAccount",
    ),
    Reason.IS_IT_LIVE: Rule(
        turn=Turn.OPERATOR,
        summary="Whether it is live at {name} cannot be found out by asking the platform.",
        next_step="A person looks at the account and says so, or that it is not (--again). Nothing is sent before.",
        command=_DECIDE,
        link=_ERROR,
    ),
    Reason.PERSON_NEEDED: Rule(
        turn=Turn.OPERATOR,
        summary="It was tried as often or as long as is sensible.",
        next_step="It goes on when a person has dealt with the cause and resumes it.",
        command="slipway delivery resume {delivery}",
        link=_LETTER,
    ),
}

_LOST = (
    "Sent; the platform's answer was lost or unclear: it may be live. It is never sent again unless it is proven not "
    "live."
)
_LOOKED_AT: Mapping[State, Rule] = {
    State.PREPARING: Rule(
        turn=Turn.PLATFORM,
        summary="The platform works on the media; nothing is visible.",
        next_step="The platform is asked whether it is done.",
    ),
    State.PROCESSING: Rule(
        turn=Turn.PLATFORM,
        summary="Sent; the platform works on it: it may be live.",
        next_step="The platform is asked whether it is live.",
    ),
    State.UNKNOWN: Rule(
        turn=Turn.US,
        summary=_LOST,
        next_step="The platform is asked whether it is live, if it can be; else an operator decides.",
        command=_DECIDE,
        link=_ERROR,
    ),
}

RULES: Mapping[tuple[State, Detail], Rule] = {
    (State.ACCEPTED, Hold.CHECKING): Rule(
        turn=Turn.US,
        summary="Its media or music are being checked.",
        next_step="It is scheduled when they are good.",
    ),
    (State.ACCEPTED, SEEN): Rule(
        turn=Turn.CUSTOMER,
        summary="Its media could not be checked: {seen}",
        next_step="They are tried again; it fails if they stay so past its due time.",
        command="slipway post show {post}",
        link="/reference#error-media_unreachable",
    ),
    (State.SCHEDULED, None): Rule(
        turn=Turn.US, summary="Scheduled.", next_step="It is prepared, and sent when it is due."
    ),
    (State.SCHEDULED, AHEAD): Rule(
        turn=Turn.OPERATOR,
        summary="Scheduled; a pause ({scope}) will hold it when its time comes: {why}",
        next_step="It is sent when it is due, if the pause is lifted before, or else when it is lifted.",
        command="slipway pause lift {scope}",
        link=_ATTENTION,
    ),
    (State.QUEUED, None): Rule(
        turn=Turn.US, summary="On its way to a worker.", next_step="A worker sends it."
    ),
    **{
        (state, hold): rule
        for state in (State.SCHEDULED, State.RETRYING, State.QUEUED)
        for hold, rule in _HELD.items()
    },
    **{(State.RETRYING, fault): rule for fault, rule in _RETRYING.items()},
    (State.PUBLISHING, None): Rule(
        turn=Turn.US, summary="A worker sends it now.", next_step="The platform's answer settles it."
    ),
    **{(state, None): rule for state, rule in _LOOKED_AT.items()},
    **{
        (state, Hold.RATE): replace(
            rule, next_step=f"{rule.next_step} The platform's limit of calls puts that off."
        )
        for state, rule in _LOOKED_AT.items()
    },
    **{
        (state, LOOK_FAILED): replace(_LOOKED_AT[state], summary=f"{_LOOKED_AT[state].summary} {{look}}")
        for state in (State.PROCESSING, State.UNKNOWN)
    },
    (State.UNKNOWN, NO_LOOK): replace(
        _LOOKED_AT[State.UNKNOWN],
        turn=Turn.OPERATOR,
        summary=f"{_LOST} {{look}}",
        next_step="An operator is asked when it can no longer appear; until then, it cannot be published again.",
    ),
    **{(State.BLOCKED, reason): rule for reason, rule in _BLOCKED.items()},
    **{(State.FAILED, fault): rule for fault, rule in _FAILED.items()},
    (State.PUBLISHED, None): Rule(turn=None, summary="Live: {url}"),
    (State.CANCELLED, None): Rule(turn=None, summary="Canceled before anything was sent."),
}
