"""The epoch: how a database that was restored from a backup is recognised before it sends anything twice.

An epoch is a UUID, a number that grows, and a time until which posts may be sent. It is kept twice: in the database,
and in a file outside it that no backup holds. A number is committed in the database before it is written to the file,
and nothing is sent at or after the file's ``until``. So if the file holds a number that the database does not know,
posts were sent after the state that the database is in: it was restored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """The content of the epoch file. ``until``: nothing was sent at or after this time, by the database's clock."""

    id: UUID
    number: int
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEpoch:
    """The epoch that the database holds."""

    id: UUID | None
    number: int
    """The newest number that it ever committed for the file."""
    until: datetime | None
    moved: bool
    """The row is not the one that the send guard wrote: it came out of a dump, or the database was copied."""


class EpochMatch(StrEnum):
    """The result of comparing both."""

    IN_STEP = "in step"
    NEW = "new"  #: there is no epoch yet, in neither of them
    RESTORED = "restored"  #: the file was written by a later state of this database, or by another database
    LOST = "lost"  #: there was an epoch file, and it is gone


def compare_epochs(stored: StoredEpoch, in_file: Epoch | None) -> EpochMatch:
    """Compare the database's epoch with the file's.

    A file behind the database is in step: the process that died between the two had not sent anything by the new
    number.
    """
    if stored.id is None:
        return EpochMatch.NEW if in_file is None else EpochMatch.RESTORED
    if in_file is None:
        never_written = stored.until is None and not stored.moved
        return EpochMatch.IN_STEP if never_written else EpochMatch.LOST
    known = in_file.id == stored.id and in_file.number <= stored.number
    return EpochMatch.IN_STEP if known and not stored.moved else EpochMatch.RESTORED
