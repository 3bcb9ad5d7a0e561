"""The states of a delivery and every move between them; ``pipeline/states.md`` shows them as a diagram.

A delivery is one post on its way to one account. Exactly one stage advances each unsettled state, except blocked, which
waits for an operator. The other movers in ``MOVES`` are users and maintenance. ``require_move`` refuses every move that
is not in the table, and CHECK constraints in the database refuse contradictory rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """The state of a delivery. The comments name the stage that advances it, or what a crash leaves."""

    ACCEPTED = "accepted"  #: its media or music are being checked (reachability)
    SCHEDULED = "scheduled"  #: waits in SQL for its due time (delay)
    QUEUED = (
        "queued"  #: dispatched to its platform's queue (publish); dispatched again if the message is lost
    )
    PUBLISHING = (
        "publishing"  #: claimed by a worker (publish); after a crash: not armed -> queued, armed -> unknown
    )
    PREPARING = "preparing"  #: the platform works on an invisible upload, not armed (status)
    PROCESSING = "processing"  #: the platform works on it after the visible call (status)
    UNKNOWN = "unknown"  #: armed, outcome not known: looked at, never sent again (status)
    RETRYING = "retrying"  #: proven not to be live; waits in SQL for its next try (delay)
    BLOCKED = "blocked"  #: waits for an operator; ``reason`` says why
    PUBLISHED = "published"  #: live; final
    FAILED = "failed"  #: not live; the error says why
    CANCELLED = "cancelled"  #: cancelled by a user before anything was sent


def to_public(word: str) -> str:
    """Return a status or state as the API spells it: the ledger's `cancelled` is `canceled`."""
    return "canceled" if word == "cancelled" else str(word)


SETTLED = frozenset({State.PUBLISHED, State.FAILED, State.CANCELLED})
UNSETTLED = frozenset(State) - SETTLED
WAITING = frozenset({State.SCHEDULED, State.RETRYING})
"""States the delay stage releases when ``next_at`` has come."""
LOOKED_AT = frozenset({State.PREPARING, State.PROCESSING, State.UNKNOWN})
"""States the status stage looks at when ``next_at`` has come."""
ALWAYS_ARMED = frozenset({State.PROCESSING, State.UNKNOWN})
"""States only an armed delivery can be in. Publishing and blocked may be either: their ``armed_at`` says."""


class Mover(StrEnum):
    """Who moves a delivery: the stages, then users and maintenance."""

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
    IS_IT_LIVE = "is_it_live"  #: only an operator can find out whether the post is live
    PERSON_NEEDED = "person_needed"  #: too many unexpected errors, or it crashed its workers too often


S = State
_BACK = frozenset({S.RETRYING, S.BLOCKED, S.FAILED})
_PROVEN = frozenset({S.PUBLISHED, S.BLOCKED})
"""Where proof that the post is live leads: blocked if that post already belongs to another delivery."""
_NEVER: frozenset[State] = frozenset()
_BY_USERS: Mapping[Mover, frozenset[State]] = {
    Mover.EDIT: frozenset({S.ACCEPTED, S.SCHEDULED}),
    Mover.CANCEL: frozenset({S.CANCELLED}),
}
"""The moves that users may make before it is settled, while it is not armed."""
_ALWAYS: Mapping[Mover, frozenset[State]] = {Mover.RESTORE: frozenset({S.UNKNOWN}), Mover.PROOF: _PROVEN}
"""Moves of every unsettled delivery."""

MOVES: Mapping[State, Mapping[Mover, frozenset[State]]] = {
    S.ACCEPTED: {
        Mover.REACHABILITY: frozenset({S.SCHEDULED, S.FAILED}),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.SCHEDULED: {
        Mover.DELAY: frozenset({S.QUEUED, S.FAILED, S.BLOCKED}),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.QUEUED: {
        Mover.PUBLISH: frozenset({S.PUBLISHING}),
        Mover.RESCUE: frozenset({S.QUEUED}),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.PUBLISHING: {
        Mover.PUBLISH: frozenset(
            {S.PUBLISHED, S.PREPARING, S.PROCESSING, S.SCHEDULED, S.QUEUED, S.UNKNOWN} | _BACK
        ),
        Mover.RESCUE: frozenset({S.QUEUED, S.BLOCKED, S.UNKNOWN}),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.PREPARING: {
        Mover.STATUS: frozenset({S.PREPARING, S.QUEUED} | _BACK),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.PROCESSING: {
        Mover.STATUS: frozenset({S.PUBLISHED, S.PROCESSING, S.UNKNOWN} | _BACK),
        **_ALWAYS,
    },
    S.UNKNOWN: {
        Mover.STATUS: frozenset({S.PUBLISHED, S.PROCESSING, S.UNKNOWN} | _BACK),
        Mover.DECIDE: frozenset({S.PUBLISHED, S.RETRYING}),
        **_ALWAYS,
    },
    S.RETRYING: {
        Mover.DELAY: frozenset({S.QUEUED, S.FAILED, S.BLOCKED}),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.BLOCKED: {
        Mover.RESUME: frozenset({S.RETRYING, S.UNKNOWN}),
        Mover.DECIDE: frozenset({S.PUBLISHED, S.RETRYING}),
        **_BY_USERS,
        **_ALWAYS,
    },
    S.FAILED: {
        Mover.RETRY: frozenset({S.ACCEPTED}),
        # cancelled: the account was removed from the post
        Mover.EDIT: frozenset({S.FAILED, S.ACCEPTED, S.SCHEDULED, S.CANCELLED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),  # it was sent again after the backup was made
    },
    S.PUBLISHED: {},
    S.CANCELLED: {
        # the account was added to the post again, or its cancel was undone
        Mover.EDIT: frozenset({S.FAILED, S.ACCEPTED, S.SCHEDULED}),
        Mover.RESTORE: frozenset({S.UNKNOWN}),  # as for failed
    },
}
"""State -> mover -> the states it may move to.

EDIT and CANCEL also require that the delivery is not armed (``may_be_changed``); RESTORE of a settled delivery requires
that it was brought forward after the backup was made.
"""


class ForbiddenMove(Exception):
    """A move that is not in ``MOVES``: a bug in the caller."""


def require_move(origin: State, mover: Mover, target: State) -> None:
    """Raise ForbiddenMove unless the table allows the move."""
    if target not in MOVES[origin].get(mover, _NEVER):
        raise ForbiddenMove(f"{mover} may not move a delivery from {origin} to {target}")


def may_be_changed(state: State, *, armed: bool) -> bool:
    """Return True if an edit or a cancel may still change it; an armed delivery may be live already."""
    return not armed and Mover.CANCEL in MOVES[state]


def may_retry(state: State, *, is_proven_live: bool) -> bool:
    """Return True if a retry may send it: a failed one, unless the platform has shown it live since."""
    return state is State.FAILED and not is_proven_live


def get_resume_state(*, armed: bool) -> State:
    """Return the state in which a blocked delivery resumes: an armed one is looked at, never sent again."""
    return State.UNKNOWN if armed else State.RETRYING
