from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from pipeline.domain.epoch import Inside, Judgement, Mark, judge

NOW = datetime(2027, 1, 1, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)


def outside(n: int, epoch: UUID = ONE) -> Mark:
    return Mark(epoch=epoch, n=n, until=NOW)


def inside(n: int, epoch: UUID | None = ONE, *, confirmed: bool = True, moved: bool = False) -> Inside:
    return Inside(epoch=epoch, n=n, until=NOW if confirmed else None, moved=moved)


@pytest.mark.parametrize(
    ("database", "mark", "judgement"),
    [
        (inside(0, None, confirmed=False), None, Judgement.NEW),
        (inside(0, None, confirmed=False), outside(1), Judgement.RESTORED),  # a backup older than any mark
        (inside(3), outside(3), Judgement.IN_STEP),
        (inside(4), outside(3), Judgement.IN_STEP),  # who meant the fourth died before writing it
        (inside(9), outside(3), Judgement.IN_STEP),
        (inside(1, confirmed=False), None, Judgement.IN_STEP),  # who began it died before writing it
        (inside(3), outside(4), Judgement.RESTORED),
        (inside(3), outside(3, OTHER), Judgement.RESTORED),
        (inside(3), outside(2, OTHER), Judgement.RESTORED),
        (inside(3, moved=True), outside(3), Judgement.RESTORED),  # a dump of a moment ago
        (inside(1, confirmed=False, moved=True), None, Judgement.LOST),
        (inside(3), None, Judgement.LOST),
        (inside(3, moved=True), None, Judgement.LOST),
    ],
)
def test_the_two_halves_together(database: Inside, mark: Mark | None, judgement: Judgement) -> None:
    assert judge(database, mark) is judgement
