"""The states of a delivery and every move between them.

A delivery is one post on its way to one account. Exactly one stage advances each unsettled state (none advances a
blocked one: that waits for a person); the other columns are what a person, an edit or the upkeep may do. ``require``
refuses every move that is not in ``MOVES``, and the database every state that makes no sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a delivery stands. Beside each: who moves it on, and what a crash leaves behind."""

    ACCEPTED = "accepted"  #: its media or music are still being checked (reachability)
    SCHEDULED = "scheduled"  #: waits for its time in SQL (delay); a lost doorbell is rung again by the sweep
    QUEUED = "queued"  #: a message was sent to its platform's queue; rung again when nobody took it
    PUBLISHING = "publishing"  #: a worker holds it; after a crash: not armed -> queued, armed -> unknown
    PREPARING = "preparing"  #: the platform works on something invisible, not armed (status)
    PROCESSING = "processing"  #: after the visible call, the platform works (status)
    UNKNOWN = "unknown"  #: armed, and nobody knows whether it is live: looked at, never sent again (status)
    RETRYING = "retrying"  #: proven not to be live; waits for its next try (delay)
    BLOCKED = "blocked"  #: a person has to act; says why and where it goes on
    PUBLISHED = "published"  #: live, for good
    FAILED = "failed"  #: not live; the error says whose fault it is
    CANCELLED = "cancelled"  #: a person took it back before anything was sent


SETTLED = frozenset({State.PUBLISHED, State.FAILED, State.CANCELLED})
UNSETTLED = frozenset(State) - SETTLED
WAITING = frozenset({State.SCHEDULED, State.RETRYING})
"""States the delay stage releases when ``next_at`` has come."""
LOOKED_AT = frozenset({State.PREPARING, State.PROCESSING, State.UNKNOWN})
"""States the status stage looks at when ``next_at`` has come."""
ALWAYS_ARMED = frozenset({State.PROCESSING, State.UNKNOWN})
"""States only an armed delivery can be in. Publishing and blocked may be either: their ``armed_at`` says."""


class Mover(StrEnum):
    """Who may move a delivery: the stages, then people and the upkeep."""

    REACHABILITY = "reachability"
    DELAY = "delay"
    PUBLISH = "publish"
    STATUS = "status"
    EDIT = "edit"
    CANCEL = "cancel"
    RETRY = "retry"
    DECIDE = "decide"
    RESUME = "resume"
    RESCUE = "rescue"
    PROOF = "proof"
    RESTORE = "restore"


class Reason(StrEnum):
    """Why a delivery is blocked."""

    RECONNECT = "reconnect"  #: the account must be connected again
    IS_IT_LIVE = "is_it_live"  #: only a person can tell whether the post is live
    PERSON_NEEDED = "person_needed"  #: it failed in a way nobody foresaw, or crashed its workers too often


S = State
_BACK = frozenset({S.RETRYING, S.BLOCKED, S.FAILED})
_PROVEN = frozenset({S.PUBLISHED, S.BLOCKED})
"""Where proof of life leads: blocked when the post it names already belongs to another delivery."""
_NEVER: frozenset[State] = frozenset()

MOVES: Mapping[State, Mapping[Mover, frozenset[State]]] = {
    S.ACCEPTED: {
        Mover.REACHABILITY: frozenset({S.SCHEDULED, S.FAILED}),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.SCHEDULED: {
        Mover.DELAY: frozenset({S.QUEUED, S.FAILED, S.BLOCKED}),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.QUEUED: {
        Mover.PUBLISH: frozenset({S.PUBLISHING}),
        Mover.RESCUE: frozenset({S.QUEUED}),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.PUBLISHING: {
        Mover.PUBLISH: frozenset(
            {S.PUBLISHED, S.PREPARING, S.PROCESSING, S.SCHEDULED, S.QUEUED, S.UNKNOWN} | _BACK
        ),
        Mover.RESCUE: frozenset({S.QUEUED, S.BLOCKED, S.UNKNOWN}),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.PREPARING: {
        Mover.STATUS: frozenset({S.PREPARING, S.QUEUED} | _BACK),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.PROCESSING: {
        Mover.STATUS: frozenset({S.PUBLISHED, S.PROCESSING, S.UNKNOWN} | _BACK),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.UNKNOWN: {
        Mover.STATUS: frozenset({S.PUBLISHED, S.PROCESSING, S.UNKNOWN} | _BACK),
        Mover.DECIDE: frozenset({S.PUBLISHED, S.RETRYING}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.RETRYING: {
        Mover.DELAY: frozenset({S.QUEUED, S.FAILED, S.BLOCKED}),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.BLOCKED: {
        Mover.RESUME: frozenset({S.RETRYING, S.UNKNOWN}),
        Mover.DECIDE: frozenset({S.PUBLISHED, S.RETRYING}),
        Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
        Mover.CANCEL: frozenset({S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),
        Mover.PROOF: _PROVEN,
    },
    S.FAILED: {
        Mover.RETRY: frozenset({S.ACCEPTED}),
        # cancelled: the account was taken off the post
        Mover.EDIT: frozenset({S.FAILED, S.ACCEPTED, S.SCHEDULED, S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),  # it was sent again after the backup
    },
    S.PUBLISHED: {},
    S.CANCELLED: {
        # the account was put on the post again
        Mover.EDIT: frozenset({S.FAILED, S.ACCEPTED, S.SCHEDULED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),  # the same
    },
}
"""state -> who -> where to. EDIT and CANCEL further need that the delivery is not armed (``may_be_changed``),
RESTORE of one that is settled that it was sent again after the backup."""


class ForbiddenMove(Exception):
    """A bug: some code asked for a move the table does not have."""


def require(origin: State, mover: Mover, target: State) -> None:
    """Raises ForbiddenMove unless the table allows it."""
    if target not in MOVES[origin].get(mover, _NEVER):
        raise ForbiddenMove(f"{mover} may not move a delivery from {origin} to {target}")


def may_be_changed(state: State, *, armed: bool) -> bool:
    """Whether an edit or a cancel may still touch it: nothing that may already be live is edited or taken back."""
    return not armed and Mover.CANCEL in MOVES[state]


def resumes_as(*, armed: bool) -> State:
    """Where a blocked delivery goes on once the person has acted: what was armed is looked at, never sent again."""
    return State.UNKNOWN if armed else State.RETRYING
