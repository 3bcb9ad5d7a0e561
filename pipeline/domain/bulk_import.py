"""The states of an import, the moves between them that users may make, and the verdicts on its rows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ImportState(StrEnum):
    """Where an import stands."""

    UPLOADED = "uploaded"
    """The file is stored; no worker has taken it yet."""
    READING = "reading"
    """Rows are read and checked; nothing else is changed."""
    PLANNED = "planned"
    """Every row has a verdict, and nothing happens before ``apply``."""
    APPLYING = "applying"
    """Posts are made of the accepted rows."""
    APPLIED = "applied"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    """It goes no further; the posts it made stay."""
    FAILED = "failed"
    """The file cannot be read, or the key may not publish any more."""
    ROLLING_BACK = "rolling_back"
    """The posts it made are cancelled where nothing was sent."""
    ROLLED_BACK = "rolled_back"


WORDS: Mapping[ImportState, str] = {
    **{state: str(state) for state in ImportState},
    ImportState.READING: "being read",
    ImportState.APPLYING: "being applied",
    ImportState.CANCELLED: "canceled",
    ImportState.ROLLING_BACK: "being rolled back",
    ImportState.ROLLED_BACK: "rolled back",
}
"""A sentence that says what an import is in each state."""
WORKING = frozenset(
    {ImportState.UPLOADED, ImportState.READING, ImportState.APPLYING, ImportState.ROLLING_BACK}
)
"""States in which a worker takes the next step."""

Action = StrEnum("Action", ["apply", "pause", "resume", "cancel", "rollback", "delete"])

ALLOWED: Mapping[Action, frozenset[ImportState]] = {
    Action.apply: frozenset({ImportState.PLANNED}),
    Action.pause: frozenset({ImportState.UPLOADED, ImportState.READING, ImportState.APPLYING}),
    Action.resume: frozenset({ImportState.PAUSED}),
    Action.cancel: frozenset(
        {
            ImportState.UPLOADED,
            ImportState.READING,
            ImportState.PLANNED,
            ImportState.APPLYING,
            ImportState.PAUSED,
        }
    ),
    Action.rollback: frozenset({ImportState.APPLIED, ImportState.CANCELLED, ImportState.FAILED}),
    Action.delete: frozenset(ImportState) - WORKING,
}
"""The states from which a user may take each action."""

REPEATED: Mapping[Action, frozenset[ImportState]] = {
    Action.apply: frozenset({ImportState.APPLYING, ImportState.APPLIED}),
    Action.pause: frozenset({ImportState.PAUSED}),
    Action.resume: WORKING - {ImportState.ROLLING_BACK},
    Action.cancel: frozenset({ImportState.CANCELLED}),
    Action.rollback: frozenset({ImportState.ROLLING_BACK, ImportState.ROLLED_BACK}),
    Action.delete: frozenset(),
}
"""States that an action leads to: repeated there, it changes nothing and is no error."""

INSTEAD: Mapping[tuple[Action, ImportState], str] = {
    (Action.cancel, ImportState.APPLIED): "Roll it back to cancel its posts.",
    (Action.apply, ImportState.CANCELLED): "Send the file again for a new plan.",
    (Action.apply, ImportState.FAILED): "Send the file again for a new plan.",
    (Action.apply, ImportState.ROLLED_BACK): "Send the file again for a new plan.",
}
"""Advice where a state does not allow an action."""


class RowVerdict(StrEnum):
    """The verdict on a row. ``accepted`` makes or edits a post; ``duplicate`` has its post already."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
