"""The history of a post: the moves, attempts and receipts of each delivery, the newest of each, by few rows."""

from __future__ import annotations

import json

from pipeline.domain.delivery import Mover, State
from pipeline.store.database import rows
from pipeline.store.deliveries import history
from pipeline.store.deliveries.history import SHOWN, read_history
from pipeline.store.receipts import add_receipts
from tests.pipeline.store.ledger import Ledger
from tests.pipeline.store.plans import count_rows_read

MANY = 800


def add_moves(ledger: Ledger, delivery: object, number: int, target: State = State.RETRYING) -> None:
    ledger.do(
        rows,
        """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
           SELECT :id, :mover, 'publishing', :target, 0, n, 'move ' || n FROM generate_series(1, :number) n
           RETURNING id""",
        id=delivery,
        mover=Mover.PUBLISH,
        target=target,
        number=number,
    )


def test_each_delivery_has_its_moves_attempts_and_receipts_oldest_first(shared: Ledger) -> None:
    post = shared.fresh(State.PUBLISHED, accounts=2)
    first, second = post.deliveries
    add_moves(shared, first, 2)
    add_moves(shared, first, 1, State.PUBLISHED)
    with shared.database.begin() as c:
        while add_receipts(c, 500):
            pass
        found = read_history(c, post.id)
    assert [move.why for move in found[first].moves[-3:]] == ["move 1", "move 2", "move 1"]
    assert [attempt.n for attempt in found[first].attempts] == [1]
    [line] = found[first].receipts
    assert (json.loads(line)["delivery"], json.loads(line)["outcome"]) == (str(first), "published")
    assert (len(found[second].attempts), found[second].receipts) == (1, [])


def test_the_newest_moves_are_read_however_many_there_are(shared: Ledger) -> None:
    post, others = shared.fresh(), shared.fresh(accounts=3)
    for delivery in (*post.deliveries, *others.deliveries):
        add_moves(shared, delivery, MANY)
    with shared.database.once() as c:
        c.exec_driver_sql("ANALYZE moves")
    [found] = shared.do(read_history, post.id).values()
    assert len(found.moves) == SHOWN
    assert found.moves[-1].why == f"move {MANY}"
    assert count_rows_read(shared, history, read_history, post.id) < 3 * SHOWN + 10
