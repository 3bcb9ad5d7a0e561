"""Posts by hour and outcome: each once, in its span, and few rows are read however many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.delivery import State
from pipeline.store.posts import outcomes
from pipeline.store.posts.actions import hide_post
from pipeline.store.posts.outcomes import OutcomeCount, count_outcomes
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.plans import count_read

MINUTE = timedelta(minutes=1)


def list_hours(start: datetime, number: int = 3) -> list[tuple[datetime, datetime]]:
    return [(start + n * HOUR, start + (n + 1) * HOUR) for n in range(number)]


def count(ledger: Ledger, *workspaces: object, start: datetime) -> list[OutcomeCount]:
    return ledger.do(count_outcomes, workspaces, list_hours(start))  # type: ignore[arg-type]


def test_posts_are_counted_by_span_and_outcome(shared: Ledger) -> None:
    start = datetime.now(UTC) + 30 * MINUTE
    space, other = shared.workspace(), shared.workspace()
    account, second = shared.account(space), shared.account(space)
    for state, number in (
        (State.PUBLISHED, 3),
        (State.FAILED, 2),
        (State.SCHEDULED, 4),
        (State.CANCELLED, 5),
    ):
        for post in shared.posts(number, [account], due=HOUR):
            shared.put(post, state)
    partial = shared.post([account, second], State.PUBLISHED, due=2 * HOUR)
    shared.change(partial.deliveries[0], "state = 'failed', published_at = NULL, remote_id = NULL")
    with shared.database.begin() as c:
        c.exec_driver_sql("UPDATE posts SET status = 'partial' WHERE id = %(id)s", {"id": partial.id})
        hide_post(c, shared.post([account], due=HOUR).id)
    shared.post([account], due=-HOUR)
    shared.post([account], due=4 * HOUR)
    shared.post([shared.account(other)], due=HOUR)
    found = count(shared, space, start=start)
    assert [(one.span, one.outcome, one.posts) for one in found] == [
        (0, "failed", 2),
        (0, "live", 3),
        (0, "to_come", 4),
        (1, "failed", 1),
    ]
    assert {(one.clients, one.is_capped) for one in found} == {(1, False)}
    assert sum(one.posts for one in count(shared, space, other, start=start)) == 11
    assert count(shared, start=start) == []


def test_few_rows_are_read_however_many_there_are(shared: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime.now(UTC) + 30 * MINUTE
    space = shared.workspace()
    account = shared.account(space)
    shared.posts(1000, [account], due=HOUR)
    shared.posts(1000, [account], due=40 * HOUR)
    shared.analyze("posts")
    values = {"workspaces": [space], "starts": [start], "first": start, "until": start + HOUR, "cap": 100}
    assert count_read(shared, outcomes._OUTCOMES, **values) < 120
    monkeypatch.setattr(outcomes, "COUNTED", 100)
    assert [(one.posts, one.is_capped) for one in count(shared, space, start=start)] == [(100, True)]
