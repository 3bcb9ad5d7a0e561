"""The mark: up to when posts may have been sent, kept outside the database, so that an older database is recognised.

Before anything is sent the mark outside is ahead of now, and the database knows every number that ever stood there.
So a database that does not know the number outside is older than what was sent: it was restored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What stands outside. ``until``: nothing was sent at or after this moment, by the database's clock."""

    epoch: UUID
    n: int
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Inside:
    """What the database says."""

    epoch: UUID | None
    n: int
    """The newest number it ever meant to write outside."""
    until: datetime | None
    moved: bool
    """It is not the row that the keeper wrote: it came out of a dump, or was copied."""


class Judgement(StrEnum):
    """What the two say together."""

    IN_STEP = "in step"
    NEW = "new"  #: nobody has kept a mark yet
    RESTORED = (
        "restored"  #: what stands outside was written by a later state of this database, or by another one
    )
    LOST = "lost"  #: a mark was kept, and is gone


def judge(inside: Inside, outside: Mark | None) -> Judgement:
    """Whether the database is the one whose sending the mark outside tells of.

    Outside behind inside is in step: who died between the two had not sent anything by the new number yet.
    """
    if inside.epoch is None:
        return Judgement.NEW if outside is None else Judgement.RESTORED
    if outside is None:
        never_written = inside.until is None and not inside.moved
        return Judgement.IN_STEP if never_written else Judgement.LOST
    known = outside.epoch == inside.epoch and outside.n <= inside.n
    return Judgement.IN_STEP if known and not inside.moved else Judgement.RESTORED
