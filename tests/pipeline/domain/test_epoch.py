"""Comparing the epoch in the database with the one in the file."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from pipeline.domain.restore import Epoch, EpochMatch, StoredEpoch, compare_epochs

NOW = datetime(2027, 1, 1, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)


def outside(n: int, epoch: UUID = ONE) -> Epoch:
    return Epoch(id=epoch, number=n, until=NOW)


def inside(n: int, epoch: UUID | None = ONE, *, confirmed: bool = True, moved: bool = False) -> StoredEpoch:
    return StoredEpoch(id=epoch, number=n, until=NOW if confirmed else None, moved=moved)


@pytest.mark.parametrize(
    ("database", "mark", "judgement"),
    [
        (inside(0, None, confirmed=False), None, EpochMatch.NEW),
        (inside(0, None, confirmed=False), outside(1), EpochMatch.RESTORED),  # a backup older than any mark
        (inside(3), outside(3), EpochMatch.IN_STEP),
        (inside(4), outside(3), EpochMatch.IN_STEP),  # who meant the fourth died before writing it
        (inside(9), outside(3), EpochMatch.IN_STEP),
        (inside(1, confirmed=False), None, EpochMatch.IN_STEP),  # who began it died before writing it
        (inside(3), outside(4), EpochMatch.RESTORED),
        (inside(3), outside(3, OTHER), EpochMatch.RESTORED),
        (inside(3), outside(2, OTHER), EpochMatch.RESTORED),
        (inside(3, moved=True), outside(3), EpochMatch.RESTORED),  # a dump of a moment ago
        (inside(1, confirmed=False, moved=True), None, EpochMatch.LOST),
        (inside(3), None, EpochMatch.LOST),
        (inside(3, moved=True), None, EpochMatch.LOST),
    ],
)
def test_the_two_halves_together(database: StoredEpoch, mark: Epoch | None, judgement: EpochMatch) -> None:
    assert compare_epochs(database, mark) is judgement
