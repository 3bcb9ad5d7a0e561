"""What the judge of the import says of an import that went well, and of each way in which it may not have."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.chaos.client import SentPost
from tests.chaos.importing import ROWS, build_file, judge_import, place_rows
from tests.chaos.plan import IMPORTED, plan_imported

POSTS = [
    SentPost(planned=planned, word=f"chaos-7-{planned.number:07d}", targets={})
    for planned in plan_imported(7, 300, 180, ["tiktok", "youtube"])[0]
]
FIRST = place_rows(POSTS)
FORGED = frozenset({max(FIRST)})


def build_receipts() -> dict[int, dict[str, Any]]:
    """Return the receipts of an import that went well."""
    receipts, first = {}, 0
    for row in range(1, ROWS + 1):
        first = row if row in FIRST else first
        verdict = "rejected" if first in FORGED else "accepted" if row == first else "duplicate"
        post = None if verdict == "rejected" else f"post-{first}"
        receipts[row] = {"row": row, "verdict": verdict, "post_id": post, "issues": []}
    return receipts


def judge_receipts(receipts: dict[int, dict[str, Any]], **counts: int) -> list[str]:
    verdicts = Counter(receipt["verdict"] for receipt in build_receipts().values())
    job = {"state": "applied", "counts": {"rows": ROWS, **verdicts, **counts}}
    return [v.what for v in judge_import(job, [*receipts.values()], FIRST, FORGED)]


def test_the_file_has_each_post_first_in_a_row_of_its_own_and_then_repeats_it() -> None:
    lines = build_file(FIRST, lambda one: {"external_id": one.word}).splitlines()
    assert (len(lines), len(FIRST)) == (ROWS, IMPORTED)
    words = [json.loads(line)["external_id"] for line in lines]
    assert {number: words.index(one.word) + 1 for number, one in FIRST.items()} == {n: n for n in FIRST}
    assert json.loads(lines[0])["scheduled_at"] == "now"


def test_an_import_whose_receipts_agree_is_right_and_its_posts_are_accepted_or_refused() -> None:
    assert judge_receipts(build_receipts()) == []
    assert {n: one.status for n, one in FIRST.items()} == {n: 400 if n in FORGED else 201 for n in FIRST}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (1, {"verdict": "rejected", "post_id": None}),
        (1, {"verdict": "duplicate"}),
        (max(FORGED), {"verdict": "accepted", "post_id": "post-x"}),
        (2, {"post_id": "post-x"}),
        (sorted(FIRST)[1], {"post_id": "post-1"}),
    ],
)
def test_a_row_that_is_not_what_it_must_be_is_a_violation(row: int, change: dict[str, Any]) -> None:
    receipts = build_receipts()
    receipts[row] |= change
    assert "misreported" in judge_receipts(receipts)


def test_a_row_that_is_missing_or_counted_otherwise_is_a_violation() -> None:
    receipts = build_receipts()
    del receipts[ROWS]
    assert "misreported" in judge_receipts(receipts)
    assert judge_receipts(build_receipts(), duplicate=0) == ["misreported"]


def test_a_row_whose_time_had_passed_may_be_refused() -> None:
    receipts, row = build_receipts(), sorted(FIRST)[1]
    receipts[row] |= {"verdict": "rejected", "post_id": None, "issues": [{"path": "scheduled_at"}]}
    for repeat in range(row + 1, sorted(FIRST)[2]):
        receipts[repeat]["post_id"] = None
    rejected = Counter(receipt["verdict"] for receipt in receipts.values())
    assert judge_receipts(receipts, **rejected) == []
    assert FIRST[row].status == 400


@pytest.mark.parametrize("job", [None, {"state": "applying"}, {"state": "failed"}])
def test_an_import_that_was_not_applied_is_stuck(job: dict[str, Any] | None) -> None:
    assert [v.what for v in judge_import(job, [], FIRST, FORGED)] == ["stuck"]
