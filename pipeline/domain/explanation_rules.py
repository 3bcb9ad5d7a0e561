"""The table of explanations: for each state, and what tells its deliveries apart, whose turn it is and what follows.

Sentences have the fields of ``explanation.explain``. A rule without an action asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.domain.delivery import Reason, State
from pipeline.domain.explanation_action import Action, Call, Right, Turn
from pipeline.domain.hold import Hold

Detail = Reason | Hold | str | None
"""A reason, a hold, a fault, ``SEEN``, or None."""
LOOK_FAILED = "look_failed"
"""The detail of a sent delivery whose last look failed."""
NO_LOOK = "no_look"
"""The detail of a sent delivery that no look can show."""
OUT_ELSEWHERE, BAD_MEDIA, UNSENT, OUT_OF_USE, SHOWN_LIVE = "out", "media", "unsent", "inactive", "live"
"""Details of failed deliveries: their post cannot be changed any more; their media failed; nothing was tried; their
account was taken out of use; the platform shows them live."""
SEEN = "seen"
"""The detail of media whose check has met a problem, which it tries again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An explanation with fields to be filled in: the columns of the tables below."""

    turn: Turn | None
    summary: str
    next_step: str = ""
    action: Action | None = None


_API = "/api/partner/v1"
_RETRY = Action(
    says="Retry it.",
    command="slipway post retry {post} --account {account}",
    steps=("retry",),
    call=Call("POST", f"{_API}/posts/retry", {"post_ids": ["{post}"], "account_ids": ["{account}"]}),
)
_CHANGE = Action(
    says="Change what was refused and give it a time; scheduled_at null publishes it at once.",
    command="slipway post edit {post} --body - < change.json",
    call=Call("PATCH", f"{_API}/posts/{{post}}"),
)
_SEND_NEW = Action(
    says="The post is out elsewhere and can no longer be changed: send a corrected one to this account.",
    command="slipway post create --workspace NAME --body - < post.json",
    call=Call("POST", f"{_API}/posts"),
)
_SHOW = Action(
    says="Read the post.",
    command="slipway post show {post}",
    call=Call("GET", f"{_API}/posts/{{post}}", right=Right.READ),
)
_DECIDE_EARLY = Action(
    says="If you see it live, say so with its URL.",
    command="slipway delivery decide {delivery} --live URL",
    steps=("live",),
)
_DECIDE = replace(_DECIDE_EARLY, ask="Ask the operator of this server to look at the account and to decide.")
_RESUME = Action(
    says="Deal with the cause, then resume it.",
    command="slipway delivery resume {delivery}",
    steps=("resume",),
    call=Call("POST", "/api/operator/v1/dead-letters/replay", {"ids": ["{delivery}"]}),
)
RECONNECT = Action(
    says="Connect the account again.",
    command="slipway account reconnect {account} < tokens.json",
    steps=("/dashboard/accounts",),
    call=Call("POST", f"{_API}/connect/{{platform}}", {"reconnect": "{account}"}, Right.WRITE),
    ask="Ask the operator of this server to connect the account again.",
)
_ACTIVATE = Action(
    says="Take the account into use again.",
    command="slipway account activate {account}",
    steps=("/dashboard/accounts",),
    ask="Ask the operator of this server to take the account into use again.",
)
LIFT = Action(
    says="Lift the pause.",
    command="slipway pause lift {scope}",
    steps=("/dashboard/pauses",),
    ask="Ask the operator of this server to lift the pause.",
)
_UNLOCK = Action(
    says="Unlock the workspace, or cancel what it holds.",
    command="slipway workspace unlock {target}",
    steps=("/dashboard/pauses",),
    ask="Ask the operator of this server: only they can unlock the workspace.",
)
LIFT_OWN = Action(
    says="Resume it; the answer counts what that goes on with, and has the token that confirms it.",
    command="slipway steer resume --account {account}",
    steps=("unpause",),
    call=Call("POST", f"{_API}/posts/steer", {"verb": "resume", "filter": {"account_id": "{account}"}}),
)
"""The action for a pause of single deliveries, instead of ``LIFT``."""
_ATTENTION = Action(says="Look at what needs attention.", command="slipway attention", steps=("/dashboard/",))

_HELD: Mapping[Hold, Rule] = {
    Hold.PREPARED_EARLY: Rule(
        Turn.US, "Prepared ahead of its time.", "The one visible call is made when it is due."
    ),
    Hold.RATE: Rule(
        Turn.PLATFORM,
        "{name} may take no further call yet: the platform's limit of calls, or the store that counts them "
        "does not answer.",
        "It goes on when the limit has room.",
    ),
    Hold.MIN_GAP: Rule(
        Turn.PLATFORM,
        "Another post went out at {name} just now, and the platform wants time between two of them.",
        "It is sent when that time is over.",
    ),
    Hold.DAILY_QUOTA: Rule(
        Turn.PLATFORM,
        "The platform's limit of posts in 24 hours is used up.",
        "It is sent when the oldest of these posts is a day old.",
    ),
    Hold.SLOW_MEDIA: Rule(
        Turn.CUSTOMER,
        "Too many media files of the workspace are read too slowly from their hosts.",
        "It goes on when one of them is done.",
        _SHOW,
    ),
    Hold.CONVERTING: Rule(
        Turn.US,
        "Its images have to be made to fit the platform, and the memory for that is in use.",
        "It goes on when other images are done.",
    ),
    Hold.STORAGE: Rule(
        Turn.OPERATOR,
        "This installation's storage of files cannot be used now; nothing was sent, and no try is spent.",
        "It is tried again until the storage works, or until the post expires.",
        Action(
            says="Find out why the storage cannot be used.",
            command="slipway doctor",
            steps=("/dashboard/",),
            ask="Ask the operator of this server to look after its storage.",
        ),
    ),
    Hold.VAULT: Rule(
        Turn.OPERATOR,
        "No key of this installation's vault opens the credentials of {name}: `slipway doctor` says more.",
        "It goes on when the key is back, or once the account is connected again. No try is spent.",
        RECONNECT,
    ),
    Hold.SHUTDOWN: Rule(Turn.US, "Its worker had to end; nothing was sent.", "Another worker takes it."),
    Hold.LOCKED: Rule(
        Turn.OPERATOR,
        "The workspace is locked: {why}",
        "It goes on when the workspace is unlocked, and not before its time.",
        _UNLOCK,
    ),
    Hold.PAUSED: Rule(
        Turn.OPERATOR,
        "A pause holds it: {why}",
        "It goes on when the pause is lifted, and not before its time.",
        LIFT,
    ),
    Hold.APPROVAL: Rule(
        Turn.CUSTOMER,
        "It waits for an approval: {why}.",
        "It goes on once it is approved, not by its author, and not before its time.",
        Action(
            says="Look at it, and approve it or send it back.",
            command="slipway post approve {post}",
            call=Call("GET", f"{_API}/posts/{{post}}/approval", right=Right.READ),
        ),
    ),
    Hold.NEWER_WORKER: Rule(
        Turn.OPERATOR,
        "No running worker understands all of its post: {why}.",
        "It goes on when workers of this version run: upgrade or start them.",
        Action(
            says="Upgrade the workers, or start newer ones.",
            command="slipway worker publish",
            steps=("/dashboard/",),
            ask="Ask the operator of this server to upgrade its workers.",
        ),
    ),
    Hold.EPOCH: Rule(
        Turn.OPERATOR,
        "Nothing may be sent: the database and the epoch file do not confirm each other ({why}).",
        "It is released when they do, or when a restore is accepted.",
        Action(
            says="Look at the restore.",
            command="slipway restore status",
            steps=("/dashboard/",),
            ask="Ask the operator of this server: only they can accept a restore.",
        ),
    ),
    Hold.BREAKER: Rule(
        Turn.PLATFORM,
        "{platform} does not answer: {why}.",
        "One post probes the platform; its answer releases the others.",
        Action(says="Look at the pauses.", command="slipway pause list", steps=("/dashboard/pauses",)),
    ),
    Hold.BACKLOG: Rule(
        Turn.US, "It is due, and waits for its turn or for a worker.", "A worker sends it.", _ATTENTION
    ),
}
"""Deliveries that could go on, by their hold."""

_REFUSED = "Failed: it was refused, and another try without a change would be refused again."
_FAILED: Mapping[str, Rule] = {
    "customer": Rule(Turn.CUSTOMER, _REFUSED, action=_CHANGE),
    OUT_ELSEWHERE: Rule(Turn.CUSTOMER, _REFUSED, action=_SEND_NEW),
    BAD_MEDIA: Rule(
        Turn.CUSTOMER,
        "Failed: its media could not be read, or have changed.",
        action=replace(_RETRY, says="Make the media reachable at their URLs, then retry it."),
    ),
    UNSENT: Rule(Turn.CUSTOMER, "Failed before anything was sent.", action=_RETRY),
    OUT_OF_USE: Rule(Turn.OPERATOR, "Failed, and {name} was taken out of use since.", action=_ACTIVATE),
    Reason.RECONNECT: Rule(Turn.CUSTOMER, "Failed, and {name} has to be connected again.", action=RECONNECT),
    SHOWN_LIVE: Rule(
        Turn.OPERATOR,
        "Failed, but the platform shows it live: it is not sent again.",
        action=Action(
            says="Look at the account and at what arrived.",
            command="slipway delivery show {delivery}",
            ask="Ask the operator of this server to look at the account.",
        ),
    ),
    "platform": Rule(
        Turn.CUSTOMER,
        "Failed: the platform or a media host had its tries, and none came through.",
        action=_RETRY,
    ),
    "us": Rule(
        Turn.OPERATOR,
        "Failed by a fault of this installation.",
        action=replace(
            _RETRY, command="slipway dead-letter show {delivery}", says="Look at what failed, then retry it."
        ),
    ),
}
_RETRYING = {
    fault: Rule(turn, f"Not sent: {why}.", "It is tried again.")
    for fault, turn, why in (
        ("customer", Turn.US, "the last try was refused"),
        ("platform", Turn.PLATFORM, "the platform or a media host did not take the last try"),
        ("us", Turn.US, "the last try met a fault of this installation, or a user sent it again"),
    )
}
_BLOCKED: Mapping[Reason, Rule] = {
    Reason.RECONNECT: Rule(
        Turn.CUSTOMER,
        "{name} has to be connected again.",
        "It goes on when the account is connected.",
        RECONNECT,
    ),
    Reason.IS_IT_LIVE: Rule(
        Turn.OPERATOR,
        "Whether it is live at {name} cannot be found out by asking the platform.",
        "An operator looks at the account and says so, or that it is not. Nothing is sent before.",
        _DECIDE,
    ),
    Reason.PERSON_NEEDED: Rule(
        Turn.OPERATOR,
        "It was tried as often or as long as is sensible.",
        "It goes on when an operator has dealt with the cause and resumes it.",
        _RESUME,
    ),
}

_LOST = (
    "Sent; the platform's answer was lost or unclear: it may be live. It is never sent again unless it is proven not "
    "live."
)
_LOOKED_AT: Mapping[State, Rule] = {
    State.PREPARING: Rule(
        Turn.PLATFORM,
        "The platform works on the media; nothing is visible.",
        "The platform is asked whether it is done.",
    ),
    State.PROCESSING: Rule(
        Turn.PLATFORM,
        "Sent; the platform works on it: it may be live.",
        "The platform is asked whether it is live.",
    ),
    State.UNKNOWN: Rule(
        Turn.US,
        _LOST,
        "The platform is asked whether it is live, if it can be; else an operator decides.",
        _DECIDE_EARLY,
    ),
}

RULES: Mapping[tuple[State, Detail], Rule] = {
    (State.ACCEPTED, Hold.CHECKING): Rule(
        Turn.US, "Its media or music are being checked.", "It is scheduled when they are good."
    ),
    (State.ACCEPTED, SEEN): Rule(
        Turn.CUSTOMER,
        "Its media could not be checked: {seen}",
        "They are tried again; it fails if they stay so past its due time.",
        _SHOW,
    ),
    (State.SCHEDULED, None): Rule(Turn.US, "Scheduled.", "It is prepared, and sent when it is due."),
    (State.QUEUED, None): Rule(Turn.US, "On its way to a worker.", "A worker sends it."),
    **{
        (state, hold): rule
        for state in (State.SCHEDULED, State.RETRYING, State.QUEUED)
        for hold, rule in _HELD.items()
    },
    **{(state, Hold.NEWER_WORKER): _HELD[Hold.NEWER_WORKER] for state in _LOOKED_AT},
    (State.ACCEPTED, Hold.STORAGE): _HELD[Hold.STORAGE],
    **{(State.RETRYING, fault): rule for fault, rule in _RETRYING.items()},
    (State.PUBLISHING, None): Rule(Turn.US, "A worker sends it now.", "The platform's answer settles it."),
    **{(state, None): rule for state, rule in _LOOKED_AT.items()},
    **{
        (state, Hold.RATE): replace(
            rule, next_step=f"{rule.next_step} The platform's limit of calls puts that off."
        )
        for state, rule in _LOOKED_AT.items()
    },
    **{
        (state, Hold.VAULT): replace(_HELD[Hold.VAULT], summary=f"{rule.summary} {_HELD[Hold.VAULT].summary}")
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
        action=_DECIDE,
        next_step="An operator is asked when it can no longer appear; until then, it cannot be published again.",
    ),
    **{(State.BLOCKED, reason): rule for reason, rule in _BLOCKED.items()},
    (State.BLOCKED, OUT_OF_USE): Rule(
        Turn.OPERATOR,
        "{name} was taken out of use.",
        "It goes on when the account is connected and in use again.",
        _ACTIVATE,
    ),
    **{(State.FAILED, fault): rule for fault, rule in _FAILED.items()},
    (State.PUBLISHED, None): Rule(None, "Live: {url}"),
    (State.CANCELLED, None): Rule(None, "Canceled before anything was sent."),
}
