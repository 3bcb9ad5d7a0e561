"""Steering: what a job does to the deliveries that a filter selects, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class Verb(StrEnum):
    """The action on each delivery."""

    CANCEL = "cancel"
    RETRY = "retry"
    RESCHEDULE = "reschedule"
    PAUSE = "pause"
    RESUME = "resume"
    REPLAY = "replay"
    DISCARD = "discard"
    APPROVE = "approve"
    UNDO = "undo"  #: of what an earlier job did, which its arguments name


OF_DEAD_LETTERS = frozenset({Verb.REPLAY, Verb.DISCARD})
"""Verbs of operators, on dead letters only."""
OF_PARTNERS = tuple(verb for verb in Verb if verb not in OF_DEAD_LETTERS)
"""Verbs of jobs of the partner API."""
OF_FILTERS = tuple(verb for verb in OF_PARTNERS if verb is not Verb.UNDO)
"""Those that the partner API takes with a filter."""
PUBLISHES = frozenset({Verb.RETRY, Verb.RESCHEDULE, Verb.RESUME, Verb.APPROVE})
"""Verbs that need a plan that publishes; the others stop things."""
AT_ONCE = frozenset({Verb.CANCEL, Verb.PAUSE})
"""Verbs that wait for no earlier job, because they protect: the verbs of ``YIELDS`` leave their deliveries to them."""
YIELDS = PUBLISHES | {Verb.REPLAY, Verb.UNDO}
RAISES_GENERATION = frozenset({Verb.CANCEL, Verb.RESCHEDULE})
HAS_UNDO = RAISES_GENERATION | {Verb.PAUSE, Verb.RESUME}
"""Verbs whose jobs can be undone. What the others started may be live."""
UNDO_WITHIN = timedelta(minutes=10)
"""For so long after its end a job can be undone, and a change of a post."""


class SteeringState(StrEnum):
    """Where a steering job stands."""

    SELECTING = "selecting"
    """The state of no job; the API documents list it."""
    WORKING = "working"
    """Post by post, each in a transaction with its receipts; or it waits for earlier jobs."""
    DONE = "done"
    FAILED = "failed"
    """The key that made it is not valid any more; finished posts stay as they are."""
    STOPPED = "stopped"
    """Stopped by a user; finished posts stay as they are, and the rest is not touched."""


WORKING = frozenset({SteeringState.SELECTING, SteeringState.WORKING})
"""States of a job that has not ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """The arguments of a verb. Reschedule: a shift, or a window over which the posts are spread."""

    shift: timedelta | None = None
    start: datetime | None = None
    end: datetime | None = None
    why: str | None = None
    """The reason of a pause, shown with the deliveries that it holds; of a discard, kept with each dead letter."""
    per_minute: float | None = None
    """Replays per platform, over all jobs; None: as the settings say."""
    undoes: UUID | None = None
    """Of an undo: the job that it undoes."""
    undone: Verb | None = None
    """The verb of that job."""
    to_times: bool = False
    """Of a reschedule, instead of a shift: each account to its next free posting time."""

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as they are stored."""
        found = {
            "shift_seconds": None if self.shift is None else int(self.shift.total_seconds()),
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "why": self.why,
            "per_minute": self.per_minute,
            "undoes": None if self.undoes is None else str(self.undoes),
            "undone": self.undone,
            "to_times": self.to_times or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Arguments:
        """Return the arguments that ``to_dict`` stored."""
        shift, undoes = stored.get("shift_seconds"), stored.get("undoes")
        return cls(
            shift=None if shift is None else timedelta(seconds=shift),
            why=stored.get("why"),
            per_minute=stored.get("per_minute"),
            undoes=None if undoes is None else UUID(undoes),
            undone=None if undoes is None else Verb(stored["undone"]),
            to_times=stored.get("to_times", False),
            **{name: datetime.fromisoformat(stored[name]) for name in ("start", "end") if name in stored},
        )

    def compute_due(self, due_at: datetime, turn: int, posts: int) -> datetime:
        """Return the new time of a post: shifted, or its even share of the window. *turn*: posts before it."""
        if self.start is not None and self.end is not None:
            seconds = (self.end - self.start).total_seconds() * turn / max(posts, 1)
            return self.start + timedelta(seconds=int(seconds))
        if self.shift is None:
            raise LookupError("A reschedule has neither a shift nor a window.")
        return due_at + self.shift
